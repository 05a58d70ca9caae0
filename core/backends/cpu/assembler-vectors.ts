/** Vectors of four lanes, see `assembler-values.ts`. */
import { type Code, float32Bytes, simd } from './assembler-code.ts'
import { F32, I32 } from './assembler-scalars.ts'
import { like } from './assembler-values.ts'

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

// methods of scalars whose results are vectors stand here: files do not import each other
declare module './assembler-scalars.ts' {
  interface I32 {
    /** The number in all lanes. */
    splat(): I32x4
  }
  interface F32 {
    /** The number in all lanes. */
    splat(): F32x4
  }
}
I32.prototype.splat = function () {
  return new I32x4(simd(17, this.code))
}
F32.prototype.splat = function () {
  return new F32x4(simd(19, this.code))
}
