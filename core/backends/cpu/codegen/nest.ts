import { Address, type FunctionBuilder, I32, type Variable } from '../assembler.ts'
import type { OperandWords } from './operands.ts'

/**
 * Outer loops flattened to one counter: pointers of all operands follow it like the wheels of an odometer, so that a step
 * costs one addition per operand, and a division is needed at the start only.
 */
export class Nest {
  readonly pointers: readonly Variable<Address>[]
  readonly indices: readonly Variable<I32>[]
  readonly #f: FunctionBuilder
  readonly #args: Address
  /** Byte offsets of the sizes in the argument block, outermost first. */
  readonly #sizes: readonly number[]
  readonly #operands: readonly OperandWords[]
  /** Which of the operands' strides belongs to the first of the sizes. */
  readonly #firstDim: number

  constructor(
    f: FunctionBuilder,
    args: Address,
    sizes: readonly number[],
    operands: readonly OperandWords[],
    firstDim = 0,
  ) {
    this.#f = f
    this.#args = args
    this.#sizes = sizes
    this.#operands = operands
    this.#firstDim = firstDim
    this.pointers = f.locals(Address, operands.length)
    this.indices = f.locals(I32, sizes.length)
  }

  #stride(operand: number, dim: number): Address {
    return this.#args.loadAddress(this.#operands[operand].strides[this.#firstDim + dim])
  }

  /** Goes to a position of the flattened loops, from the operands' bases. */
  seek(position: I32): void {
    this.start(this.#operands.map((o) => this.#args.loadAddress(o.base)))
    const rest = this.#f.let(position)
    for (let d = this.#sizes.length - 1; d >= 0; d--) {
      if (d > 0) {
        const size = this.#f.let(this.#args.load(this.#sizes[d]))
        this.indices[d].set(rest.remU(size))
        rest.set(rest.divU(size))
      } else this.indices[d].set(rest)
      for (const [i, pointer] of this.pointers.entries())
        pointer.set(pointer.at(this.indices[d], this.#stride(i, d)))
    }
  }

  /** Goes to position 0 with the pointers at these addresses. */
  start(addresses: readonly Address[]): void {
    for (const [i, pointer] of this.pointers.entries()) pointer.set(addresses[i])
    for (const index of this.indices) index.set(0)
  }

  /** Goes on by several positions; only where there is one dimension. */
  advanceBy(count: number): void {
    this.indices[0].set(this.indices[0].add(count))
    for (const [i, pointer] of this.pointers.entries())
      pointer.set(pointer.add(this.#stride(i, 0).mul(count)))
  }

  /** The pointer of an operand some positions ahead; only where there is one dimension. */
  ahead(operand: number, count: number): Address {
    return count === 0
      ? this.pointers[operand]
      : this.pointers[operand].add(this.#stride(operand, 0).mul(count))
  }

  advance(dim = this.#sizes.length - 1): void {
    if (dim < 0) return
    const index = this.indices[dim]
    index.set(index.add(1))
    for (const [i, pointer] of this.pointers.entries()) pointer.set(pointer.add(this.#stride(i, dim)))
    if (dim === 0) return
    this.#f.if(index.eq(this.#args.load(this.#sizes[dim])), () => {
      for (const [i, pointer] of this.pointers.entries())
        pointer.set(pointer.sub(Address.of(index).mul(this.#stride(i, dim))))
      index.set(0)
      this.advance(dim - 1)
    })
  }
}
