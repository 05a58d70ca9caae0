/**
 * Typed values of the WebAssembly assembler: what an instruction leaves on the stack, as an object with methods.
 *
 * A value is code, not a result: it is evaluated where it is used, as often as it is used. `FunctionBuilder.let` names a
 * value, so that it is computed once.
 */

import type { Address } from './assembler-address.ts'

/** Instruction bytes, nested so that composing values copies nothing. */
export type Code = readonly (number | Code | ByWidth)[]

/** Bytes that depend on the width of addresses, which is chosen when a module is written out. */
export interface ByWidth {
  readonly narrow: Code
  readonly wide: Code
}

/** An `address` is an i32 or an i64, as wide as the memory's addresses. */
export type ValueType = 'i32' | 'f32' | 'v128' | 'address'

export function unsignedLeb(value: number): number[] {
  const out: number[] = []
  let rest = value >>> 0
  do {
    const byte = rest & 0x7f
    rest >>>= 7
    out.push(rest === 0 ? byte : byte | 0x80)
  } while (rest !== 0)
  return out
}

export function signedLeb(value: number): number[] {
  const out: number[] = []
  let rest = value | 0
  for (;;) {
    const byte = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) {
      out.push(byte)
      return out
    }
    out.push(byte | 0x80)
  }
}

/** As `signedLeb`, of an integer below 2^53 in magnitude. */
export function signedLeb64(value: number): number[] {
  const out: number[] = []
  for (let rest = value; ; ) {
    const byte = ((rest % 128) + 128) % 128
    rest = Math.floor(rest / 128)
    if ((rest === 0 && byte < 64) || (rest === -1 && byte >= 64)) {
      out.push(byte)
      return out
    }
    out.push(byte | 0x80)
  }
}

const float32Bytes = (value: number): number[] => [...new Uint8Array(new Float32Array([value]).buffer)]

export const memoryArgument = (align: number, offset: number): Code => [align, unsignedLeb(offset)]

const simd = (opcode: number, ...args: Code): Code => [args, 0xfd, unsignedLeb(opcode)]

export const simdLoad = (
  opcode: number,
  align: number,
  address: { readonly code: Code },
  offset: number,
): Code => [address.code, 0xfd, unsignedLeb(opcode), memoryArgument(align, offset)]

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
  splat(): I32x4 {
    return new I32x4(simd(17, this.code))
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
  splat(): F32x4 {
    return new F32x4(simd(19, this.code))
  }
}

/** Byte lanes of i8x16.shuffle for four 32-bit lanes (0 to 3 of the first, 4 to 7 of the second vector). */
const wordLanes = (lanes: readonly number[]): number[] =>
  lanes.flatMap((lane) => [lane * 4, lane * 4 + 1, lane * 4 + 2, lane * 4 + 3])

/** Four floats. */
export class F32x4 {
  readonly type = 'v128'
  readonly code: Code

  constructor(code: Code) {
    this.code = code
  }

  static const(x: number, y = x, z = x, w = x): F32x4 {
    return new F32x4([0xfd, 12, [x, y, z, w].map(float32Bytes)])
  }

  private binary(opcode: number, o: F32x4): F32x4 {
    return new F32x4(simd(opcode, this.code, o.code))
  }
  private compare(opcode: number, o: F32x4): I32x4 {
    return new I32x4(simd(opcode, this.code, o.code))
  }
  private unary(opcode: number): F32x4 {
    return new F32x4(simd(opcode, this.code))
  }

  add(o: F32x4): F32x4 {
    return this.binary(228, o)
  }
  sub(o: F32x4): F32x4 {
    return this.binary(229, o)
  }
  mul(o: F32x4): F32x4 {
    return this.binary(230, o)
  }
  div(o: F32x4): F32x4 {
    return this.binary(231, o)
  }
  /** NaN if either is NaN. */
  min(o: F32x4): F32x4 {
    return this.binary(232, o)
  }
  /** NaN if either is NaN. */
  max(o: F32x4): F32x4 {
    return this.binary(233, o)
  }
  /** `o < this ? o : this`: one instruction; this where either is NaN. */
  pmin(o: F32x4): F32x4 {
    return this.binary(234, o)
  }
  /** `this < o ? o : this`: one instruction; this where either is NaN. */
  pmax(o: F32x4): F32x4 {
    return this.binary(235, o)
  }
  /** `this * b + c`, rounded once or twice as the processor likes. Only where the engine has relaxed SIMD. */
  relaxedMadd(b: F32x4, c: F32x4): F32x4 {
    return new F32x4(simd(261, this.code, b.code, c.code))
  }
  /** `c - this * b`, likewise. */
  relaxedNmadd(b: F32x4, c: F32x4): F32x4 {
    return new F32x4(simd(262, this.code, b.code, c.code))
  }
  eq(o: F32x4): I32x4 {
    return this.compare(65, o)
  }
  ne(o: F32x4): I32x4 {
    return this.compare(66, o)
  }
  lt(o: F32x4): I32x4 {
    return this.compare(67, o)
  }
  gt(o: F32x4): I32x4 {
    return this.compare(68, o)
  }
  le(o: F32x4): I32x4 {
    return this.compare(69, o)
  }
  ge(o: F32x4): I32x4 {
    return this.compare(70, o)
  }
  abs(): F32x4 {
    return this.unary(224)
  }
  neg(): F32x4 {
    return this.unary(225)
  }
  sqrt(): F32x4 {
    return this.unary(227)
  }
  ceil(): F32x4 {
    return this.unary(103)
  }
  floor(): F32x4 {
    return this.unary(104)
  }
  trunc(): F32x4 {
    return this.unary(105)
  }
  nearest(): F32x4 {
    return this.unary(106)
  }
  /** Truncates and saturates; NaN gives 0. */
  toI32x4(): I32x4 {
    return new I32x4(simd(248, this.code))
  }
  bitsToI32x4(): I32x4 {
    return new I32x4(this.code)
  }
  lane(index: number): F32 {
    return new F32([this.code, 0xfd, 31, index])
  }
  withLane(index: number, value: F32): F32x4 {
    return new F32x4([this.code, value.code, 0xfd, 32, index])
  }
  /** Lanes 0 to 3 are this vector's, 4 to 7 the other's. */
  shuffle(o: F32x4, lanes: readonly [number, number, number, number]): F32x4 {
    return new F32x4([this.code, o.code, 0xfd, 13, wordLanes(lanes)])
  }
}

/** Four 32-bit integers, or the mask of a comparison (all bits set or none), or 128 bits seen as other lanes. */
export class I32x4 {
  readonly type = 'v128'
  readonly code: Code

  constructor(code: Code) {
    this.code = code
  }

  static const(x: number, y = x, z = x, w = x): I32x4 {
    return new I32x4([0xfd, 12, [...new Uint8Array(new Int32Array([x, y, z, w]).buffer)]])
  }

  private binary(opcode: number, o: I32x4): I32x4 {
    return new I32x4(simd(opcode, this.code, o.code))
  }
  private unary(opcode: number): I32x4 {
    return new I32x4(simd(opcode, this.code))
  }
  private shift(opcode: number, by: I32 | number): I32x4 {
    return new I32x4(simd(opcode, this.code, I32.of(by).code))
  }

  add(o: I32x4): I32x4 {
    return this.binary(174, o)
  }
  sub(o: I32x4): I32x4 {
    return this.binary(177, o)
  }
  mul(o: I32x4): I32x4 {
    return this.binary(181, o)
  }
  minS(o: I32x4): I32x4 {
    return this.binary(182, o)
  }
  maxS(o: I32x4): I32x4 {
    return this.binary(184, o)
  }
  and(o: I32x4): I32x4 {
    return this.binary(78, o)
  }
  /** `this & ~o`. */
  andNot(o: I32x4): I32x4 {
    return this.binary(79, o)
  }
  or(o: I32x4): I32x4 {
    return this.binary(80, o)
  }
  xor(o: I32x4): I32x4 {
    return this.binary(81, o)
  }
  not(): I32x4 {
    return this.unary(77)
  }
  neg(): I32x4 {
    return this.unary(161)
  }
  abs(): I32x4 {
    return this.unary(160)
  }
  /** All lanes by the same amount. */
  shl(by: I32 | number): I32x4 {
    return this.shift(171, by)
  }
  shrS(by: I32 | number): I32x4 {
    return this.shift(172, by)
  }
  shrU(by: I32 | number): I32x4 {
    return this.shift(173, by)
  }
  eq(o: I32x4): I32x4 {
    return this.binary(55, o)
  }
  ne(o: I32x4): I32x4 {
    return this.binary(56, o)
  }
  ltS(o: I32x4): I32x4 {
    return this.binary(57, o)
  }
  ltU(o: I32x4): I32x4 {
    return this.binary(58, o)
  }
  gtS(o: I32x4): I32x4 {
    return this.binary(59, o)
  }
  gtU(o: I32x4): I32x4 {
    return this.binary(60, o)
  }
  leS(o: I32x4): I32x4 {
    return this.binary(61, o)
  }
  geS(o: I32x4): I32x4 {
    return this.binary(63, o)
  }
  geU(o: I32x4): I32x4 {
    return this.binary(64, o)
  }
  /** Bit by bit: `then` where this has a 1. */
  select<T extends F32x4 | I32x4>(then: T, otherwise: T): T {
    return like(then, simd(82, then.code, otherwise.code, this.code))
  }
  anyTrue(): I32 {
    return new I32(simd(83, this.code))
  }
  allTrue(): I32 {
    return new I32(simd(163, this.code))
  }
  /** Bit i is the sign of lane i. */
  bitmask(): I32 {
    return new I32(simd(164, this.code))
  }
  /** The products of lanes 0 and 1, as two unsigned 64-bit lanes. */
  extmulLowU(o: I32x4): I32x4 {
    return this.binary(222, o)
  }
  /** The products of lanes 2 and 3, as two unsigned 64-bit lanes. */
  extmulHighU(o: I32x4): I32x4 {
    return this.binary(223, o)
  }
  /** The low four of eight 16-bit lanes, widened with zeros. */
  extendLow16U(): I32x4 {
    return this.unary(169)
  }
  extendHigh16U(): I32x4 {
    return this.unary(170)
  }
  toF32x4(): F32x4 {
    return new F32x4(simd(250, this.code))
  }
  bitsToF32x4(): F32x4 {
    return new F32x4(this.code)
  }
  lane(index: number): I32 {
    return new I32([this.code, 0xfd, 27, index])
  }
  withLane(index: number, value: I32): I32x4 {
    return new I32x4([this.code, value.code, 0xfd, 28, index])
  }
  shuffle(o: I32x4, lanes: readonly [number, number, number, number]): I32x4 {
    return new I32x4([this.code, o.code, 0xfd, 13, wordLanes(lanes)])
  }
  /** i8x16.shuffle: bytes 0 to 15 are this vector's, 16 to 31 the other's. */
  shuffleBytes(o: I32x4, lanes: readonly number[]): I32x4 {
    return new I32x4([this.code, o.code, 0xfd, 13, lanes])
  }
}

export type Value = I32 | F32 | F32x4 | I32x4 | Address

/** How a type is written in a module. */
export const TYPE_CODE: Record<ValueType, number | ByWidth> = {
  i32: 0x7f,
  f32: 0x7d,
  v128: 0x7b,
  address: { narrow: [0x7f], wide: [0x7e] },
}

/** Other code of the same class as `value`. */
export function like<T extends Value>(value: T, code: Code): T {
  return new (value.constructor as new (code: Code) => T)(code)
}
