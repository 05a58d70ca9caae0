/** Scalar values of the assembler, see `assembler-values.ts`. */
import { type Code, float32Bytes, signedLeb, TYPE_CODE } from './assembler-code.ts'
import { like, type Value } from './assembler-values.ts'

/** A 32-bit integer; also an address, a truth value (0 or not), a size. */
export class I32 {
  readonly type = 'i32'
  readonly code: Code
  /** Known when this is a constant, for folding. */
  readonly known: number | undefined

  constructor(code: Code, known?: number) {
    this.code = code
    this.known = known
  }

  static const(value: number): I32 {
    return new I32([0x41, signedLeb(value)], value | 0)
  }
  static of(value: I32 | number): I32 {
    return typeof value === 'number' ? I32.const(value) : value
  }

  private binary(opcode: number, other: I32 | number): I32 {
    return new I32([this.code, I32.of(other).code, opcode])
  }

  add(o: I32 | number): I32 {
    const known = I32.of(o).known
    if (known === 0) return this
    return this.known !== undefined && known !== undefined
      ? I32.const(this.known + known)
      : this.binary(0x6a, o)
  }
  sub(o: I32 | number): I32 {
    return I32.of(o).known === 0 ? this : this.binary(0x6b, o)
  }
  mul(o: I32 | number): I32 {
    const known = I32.of(o).known
    if (known === 1) return this
    if (known !== undefined && known > 1 && (known & (known - 1)) === 0)
      return this.shl(31 - Math.clz32(known))
    return this.binary(0x6c, o)
  }
  /** The high word of the unsigned 64-bit product. */
  mulHighU(o: I32): I32 {
    const product: Code = [this.code, 0xad, o.code, 0xad, 0x7e]
    return new I32([product, 0x42, 32, 0x88, 0xa7])
  }
  divS(o: I32 | number): I32 {
    return this.binary(0x6d, o)
  }
  divU(o: I32 | number): I32 {
    return this.binary(0x6e, o)
  }
  remS(o: I32 | number): I32 {
    return this.binary(0x6f, o)
  }
  remU(o: I32 | number): I32 {
    return this.binary(0x70, o)
  }
  and(o: I32 | number): I32 {
    return this.binary(0x71, o)
  }
  or(o: I32 | number): I32 {
    return this.binary(0x72, o)
  }
  xor(o: I32 | number): I32 {
    return this.binary(0x73, o)
  }
  shl(o: I32 | number): I32 {
    return this.binary(0x74, o)
  }
  shrS(o: I32 | number): I32 {
    return this.binary(0x75, o)
  }
  shrU(o: I32 | number): I32 {
    return this.binary(0x76, o)
  }
  eqz(): I32 {
    return new I32([this.code, 0x45])
  }
  eq(o: I32 | number): I32 {
    return this.binary(0x46, o)
  }
  ne(o: I32 | number): I32 {
    return this.binary(0x47, o)
  }
  ltS(o: I32 | number): I32 {
    return this.binary(0x48, o)
  }
  ltU(o: I32 | number): I32 {
    return this.binary(0x49, o)
  }
  gtS(o: I32 | number): I32 {
    return this.binary(0x4a, o)
  }
  gtU(o: I32 | number): I32 {
    return this.binary(0x4b, o)
  }
  leS(o: I32 | number): I32 {
    return this.binary(0x4c, o)
  }
  leU(o: I32 | number): I32 {
    return this.binary(0x4d, o)
  }
  geS(o: I32 | number): I32 {
    return this.binary(0x4e, o)
  }
  geU(o: I32 | number): I32 {
    return this.binary(0x4f, o)
  }
  minS(o: I32): I32 {
    return this.ltS(o).select(this, o)
  }
  maxS(o: I32): I32 {
    return this.gtS(o).select(this, o)
  }
  clz(): I32 {
    return new I32([this.code, 0x67])
  }
  ctz(): I32 {
    return new I32([this.code, 0x68])
  }
  /** `then` where this is not 0; both are evaluated. */
  select<T extends Value>(then: T, otherwise: T): T {
    const code: Code =
      then.type === 'v128'
        ? [then.code, otherwise.code, this.code, 0x1c, 1, TYPE_CODE.v128]
        : [then.code, otherwise.code, this.code, 0x1b]
    return like(then, code)
  }
  toF32(): F32 {
    return new F32([this.code, 0xb2])
  }
  toF32U(): F32 {
    return new F32([this.code, 0xb3])
  }
  bitsToF32(): F32 {
    return new F32([this.code, 0xbe])
  }
}

export class F32 {
  readonly type = 'f32'
  readonly code: Code

  constructor(code: Code) {
    this.code = code
  }

  static const(value: number): F32 {
    return new F32([0x43, float32Bytes(value)])
  }
  static of(value: F32 | number): F32 {
    return typeof value === 'number' ? F32.const(value) : value
  }

  private binary(opcode: number, other: F32 | number): F32 {
    return new F32([this.code, F32.of(other).code, opcode])
  }
  private compare(opcode: number, other: F32 | number): I32 {
    return new I32([this.code, F32.of(other).code, opcode])
  }
  private unary(opcode: number): F32 {
    return new F32([this.code, opcode])
  }

  add(o: F32 | number): F32 {
    return this.binary(0x92, o)
  }
  sub(o: F32 | number): F32 {
    return this.binary(0x93, o)
  }
  mul(o: F32 | number): F32 {
    return this.binary(0x94, o)
  }
  div(o: F32 | number): F32 {
    return this.binary(0x95, o)
  }
  min(o: F32 | number): F32 {
    return this.binary(0x96, o)
  }
  max(o: F32 | number): F32 {
    return this.binary(0x97, o)
  }
  eq(o: F32 | number): I32 {
    return this.compare(0x5b, o)
  }
  ne(o: F32 | number): I32 {
    return this.compare(0x5c, o)
  }
  lt(o: F32 | number): I32 {
    return this.compare(0x5d, o)
  }
  gt(o: F32 | number): I32 {
    return this.compare(0x5e, o)
  }
  le(o: F32 | number): I32 {
    return this.compare(0x5f, o)
  }
  ge(o: F32 | number): I32 {
    return this.compare(0x60, o)
  }
  abs(): F32 {
    return this.unary(0x8b)
  }
  neg(): F32 {
    return this.unary(0x8c)
  }
  ceil(): F32 {
    return this.unary(0x8d)
  }
  floor(): F32 {
    return this.unary(0x8e)
  }
  trunc(): F32 {
    return this.unary(0x8f)
  }
  /** To the nearest integer, ties to even. */
  nearest(): F32 {
    return this.unary(0x90)
  }
  sqrt(): F32 {
    return this.unary(0x91)
  }
  /** Truncates and saturates; NaN gives 0. */
  toI32(): I32 {
    return new I32([this.code, 0xfc, 0])
  }
  bitsToI32(): I32 {
    return new I32([this.code, 0xbc])
  }
}
