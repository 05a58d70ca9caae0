/** The innermost loop of generated kernels: vectors of four elements, then what is left one by one. */
import { type Expr, postorder } from '../../../expr.ts'
import { Address, type FunctionBuilder, type I32, type Variable } from '../assembler.ts'
import {
  elementBytes,
  type LoopOperand,
  loadFour,
  loadOne,
  type OperandWords,
  type Step,
  stepOf,
  storeFour,
  toWords,
} from './operands.ts'
import type { Lanes, VectorCode } from './vector-code.ts'

/** An operand as the innermost loop sees it. */
export interface ElementOperand {
  readonly operand: LoopOperand
  readonly step: Step
  /** Of element 0. */
  readonly pointer: Address
  /** In bytes. */
  readonly stride: Address
}

/** The operand whose words are in the argument block; its last stride is the innermost loop's. */
export const elementOperand = (args: Address, o: OperandWords, pointer: Address): ElementOperand => ({
  operand: o.operand,
  step: stepOf(o.operand.strides.at(-1)!),
  pointer,
  stride: args.loadAddress(o.strides.at(-1)!),
})

/** Walks operands along a row. Contiguous ones share an index, the others have a pointer that moves. */
export class RowCursor {
  /** As wide as an address, to be added to one. */
  readonly index: Variable<Address>
  readonly #f: FunctionBuilder
  readonly #operands: readonly ElementOperand[]
  readonly #moving: readonly (Variable<Address> | null)[]
  #groupAddresses: Address[] = []
  readonly #strides: readonly Address[]

  constructor(f: FunctionBuilder, operands: readonly ElementOperand[]) {
    this.#f = f
    this.#operands = operands
    this.index = f.local(Address)
    this.index.set(0)
    this.#moving = operands.map((o) => (o.step === 'strided' ? f.let(o.pointer) : null))
    this.#strides = operands.map((o) => (o.step === 'strided' ? f.let(o.stride) : Address.const(0)))
  }

  #address(i: number): Address {
    const { pointer, operand } = this.#operands[i]
    return this.#moving[i] ?? pointer.at(this.index, elementBytes(operand))
  }

  /** Address and constant offset of a group of four, counted from the index. */
  #group(i: number, group: number): [Address, number] {
    const moving = this.#moving[i]
    if (!moving) {
      // one address for all groups: engines join operations on vectors only where they see that these are adjacent
      const address = (this.#groupAddresses[i] ??= this.#f.let(this.#address(i)))
      return [address, 4 * group * elementBytes(this.#operands[i].operand)]
    }
    return [group === 0 ? moving : moving.add(this.#strides[i].mul(4 * group)), 0]
  }

  loadGroup(i: number, group: number): Lanes {
    const { operand, step } = this.#operands[i]
    const [address, offset] = this.#group(i, group)
    return loadFour(this.#f, operand, step, address, this.#strides[i], offset)
  }

  storeGroup(i: number, group: number, value: Lanes): void {
    const [address, offset] = this.#group(i, group)
    storeFour(this.#f, this.#operands[i].step, address, this.#strides[i], offset, value)
  }

  loadOne(i: number): Lanes {
    return loadOne(this.#f, this.#operands[i].operand, this.#address(i))
  }

  storeOne(i: number, value: Lanes): void {
    this.#f.storeLane(this.#address(i), value, 0)
  }

  advance(elements: number): void {
    for (const [i, moving] of this.#moving.entries()) moving?.set(moving.add(this.#strides[i].mul(elements)))
    this.index.set(this.index.add(elements))
  }

  /** Runs `vectors(groups)` for as long as that many groups of four are left before `count`, then `single()`. */
  walk(count: Address, unroll: number, vectors: (groups: number) => void, single: () => void): void {
    for (const groups of unroll > 1 ? [unroll, 1] : [1]) {
      const last = this.#f.let(count.sub(4 * groups))
      this.#f.while(this.index.leS(last), () => {
        this.#groupAddresses = []
        vectors(groups)
        this.advance(4 * groups)
      })
    }
    this.#f.while(this.index.ltS(count), () => {
      single()
      this.advance(1)
    })
  }
}

/** The same expressions come with every plan. */
const counted = new WeakMap<Expr, number>()

export function countOps(roots: readonly Expr[]): number {
  const single = roots.length === 1 ? counted.get(roots[0]) : undefined
  if (single !== undefined) return single
  let count = 0
  for (const e of postorder(roots)) if (e.args.length > 0) count++
  if (roots.length === 1) counted.set(roots[0], count)
  return count
}

/** More vectors a turn where there is little to do with each; long bodies need the registers, unless pairs become one. */
const unrollOf = (ops: number, wide: boolean): number => (ops <= 6 ? 4 : ops <= 20 || wide ? 2 : 1)

/**
 * For elements 0 to `count` - 1: evaluates all values, then stores them. Load number i of the expressions is `loads[i]`;
 * what does not change along the row was hoisted by the caller. In place is fine: a group is loaded before it is stored.
 */
export function emitElements(
  f: FunctionBuilder,
  code: VectorCode,
  values: readonly Expr[],
  loads: readonly ElementOperand[],
  stores: readonly ElementOperand[],
  count: I32,
): void {
  const cursor = new RowCursor(f, [...loads, ...stores])
  const compute = (leaf: (e: Expr) => Lanes) =>
    code.evaluate(values, leaf).map((value, i) => f.let<Lanes>(toWords(stores[i].operand, value)))
  const vectors = (groups: number) => {
    const results = Array.from({ length: groups }, (_, group) =>
      compute((e) => cursor.loadGroup(e.value, group)),
    )
    for (const [group, words] of results.entries())
      for (const [n, word] of words.entries()) cursor.storeGroup(loads.length + n, group, word)
  }
  const single = () => {
    for (const [n, word] of compute((e) => cursor.loadOne(e.value)).entries())
      cursor.storeOne(loads.length + n, word)
  }
  cursor.walk(Address.of(count), unrollOf(countOps(values), code.wide), vectors, single)
}
