/** Addresses of the assembler, as wide as the memory's: code for both widths, of which a module takes one. */
import {
  type ByWidth,
  type Code,
  memoryArgument,
  signedLeb,
  signedLeb64,
  simdLoad,
} from './assembler-code.ts'
import { F32, I32 } from './assembler-scalars.ts'
import { F32x4, I32x4 } from './assembler-vectors.ts'

/** An instruction with i32 and i64 forms. */
const integer = (narrow: number, wide: number): ByWidth => ({ narrow: [narrow], wide: [wide] })
const EXTEND: ByWidth = { narrow: [], wide: [0xac] }
const WRAP: ByWidth = { narrow: [], wide: [0xa7] }

/**
 * An address in the memory, or a number of bytes: 32 or 64 bits, signed. Elements and rows are counted in `I32`, which is
 * wide enough for one tensor; bytes are not, so products with a stride are made here.
 */
export class Address {
  readonly type = 'address'
  readonly code: Code
  /** Known when this is a constant, for folding. */
  readonly known: number | undefined

  constructor(code: Code, known?: number) {
    this.code = code
    this.known = known
  }

  static const(value: number): Address {
    return new Address([{ narrow: [0x41, signedLeb(value)], wide: [0x42, signedLeb64(value)] }], value)
  }
  /** An `I32` is extended with its sign. */
  static of(value: Address | I32 | number): Address {
    if (typeof value === 'number') return Address.const(value)
    if (value instanceof Address) return value
    return value.known === undefined ? new Address([value.code, EXTEND]) : Address.const(value.known)
  }

  #binary(instruction: ByWidth, other: Address | I32 | number): Address {
    return new Address([this.code, Address.of(other).code, instruction])
  }
  #compare(instruction: ByWidth, other: Address | number): I32 {
    return new I32([this.code, Address.of(other).code, instruction])
  }

  add(o: Address | number): Address {
    const { known } = Address.of(o)
    if (known === 0) return this
    return this.known !== undefined && known !== undefined
      ? Address.const(this.known + known)
      : this.#binary(integer(0x6a, 0x7c), o)
  }
  sub(o: Address | number): Address {
    return Address.of(o).known === 0 ? this : this.#binary(integer(0x6b, 0x7d), o)
  }
  mul(o: Address | I32 | number): Address {
    const { known } = Address.of(o)
    if (known === 1) return this
    if (known !== undefined && known > 1 && (known & (known - 1)) === 0)
      return this.shl(31 - Math.clz32(known))
    return this.#binary(integer(0x6c, 0x7e), o)
  }
  shl(by: number): Address {
    return this.#binary(integer(0x74, 0x86), by)
  }
  /** The address of element `index`, `stride` bytes apart: this + index * stride. */
  at(index: I32 | Address, stride: Address | number): Address {
    return this.add(Address.of(index).mul(stride))
  }

  eq(o: Address | number): I32 {
    return this.#compare(integer(0x46, 0x51), o)
  }
  ne(o: Address | number): I32 {
    return this.#compare(integer(0x47, 0x52), o)
  }
  ltS(o: Address | number): I32 {
    return this.#compare(integer(0x48, 0x53), o)
  }
  leS(o: Address | number): I32 {
    return this.#compare(integer(0x4c, 0x57), o)
  }
  gtS(o: Address | number): I32 {
    return this.#compare(integer(0x4a, 0x55), o)
  }
  geS(o: Address | number): I32 {
    return this.#compare(integer(0x4e, 0x59), o)
  }
  minS(o: Address): Address {
    return this.ltS(o).select<Address>(this, o)
  }
  /** Whether this is 0: an operand that is not there, a stride of a broadcast one. */
  isZero(): I32 {
    return new I32([this.code, integer(0x45, 0x50)])
  }
  /** `then` where this is not 0; both are evaluated. */
  select<T extends Address | I32 | F32>(then: T, otherwise: T): T {
    const condition: Code = [this.code, { narrow: [], wide: [0x42, 0, 0x52] }]
    return new I32(condition).select<T>(then, otherwise)
  }
  /** The low 32 bits. */
  toI32(): I32 {
    return new I32([this.code, WRAP], this.known)
  }

  // Loads; \`offset\` is in bytes, not negative.
  load(offset = 0): I32 {
    return new I32([this.code, 0x28, memoryArgument(2, offset)])
  }
  load16U(offset = 0): I32 {
    return new I32([this.code, 0x2f, memoryArgument(1, offset)])
  }
  loadAddress(offset = 0): Address {
    return new Address([this.code, integer(0x28, 0x29), memoryArgument(2, offset)])
  }
  loadF32(offset = 0): F32 {
    return new F32([this.code, 0x2a, memoryArgument(2, offset)])
  }
  loadF32x4(offset = 0): F32x4 {
    return new F32x4(simdLoad(0, 2, this, offset))
  }
  loadI32x4(offset = 0): I32x4 {
    return new I32x4(simdLoad(0, 2, this, offset))
  }
  /** One float in all four lanes. */
  loadSplatF32(offset = 0): F32x4 {
    return new F32x4(simdLoad(9, 2, this, offset))
  }
  loadSplatI32(offset = 0): I32x4 {
    return new I32x4(simdLoad(9, 2, this, offset))
  }
  /** One word in lane 0, zeros above. */
  load32Zero(offset = 0): I32x4 {
    return new I32x4(simdLoad(92, 2, this, offset))
  }
  /** Two words in lanes 0 and 1, zeros above. */
  load64Zero(offset = 0): I32x4 {
    return new I32x4(simdLoad(93, 2, this, offset))
  }
  /** Four 16-bit words, widened with zeros. */
  load16x4U(offset = 0): I32x4 {
    return new I32x4(simdLoad(4, 1, this, offset))
  }
}
