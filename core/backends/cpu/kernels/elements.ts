/** Loads that widen the 16-bit storage types to float32, and sums over lanes. */
import type { DType } from '../../../dtype.ts'
import { type Address, type F32, F32x4, type FunctionBuilder, I32x4 } from '../assembler.ts'

/**
 * Half precision in the low halves of four words -> float32. The bits of exponent and mantissa, moved up and scaled by
 * 2^112, are the number (subnormals included); infinities and NaN get their exponent set.
 */
function widenHalf(f: FunctionBuilder, words: I32x4): F32x4 {
  const h = f.let(words)
  const magnitude = f.let(h.and(I32x4.const(0x7fff)))
  const scaled = magnitude
    .shl(13)
    .bitsToF32x4()
    .mul(F32x4.const(2 ** 112))
  const special = magnitude.gtS(I32x4.const(0x7bff)).and(I32x4.const(0x7f800000))
  const sign = h.and(I32x4.const(0x8000)).shl(16)
  return scaled.bitsToI32x4().or(special).or(sign).bitsToF32x4()
}

/** Four consecutive elements as float32. */
export function loadFour(f: FunctionBuilder, dtype: DType, address: Address, offset = 0): F32x4 {
  switch (dtype) {
    case 'float16':
      return widenHalf(f, address.load16x4U(offset))
    case 'bfloat16':
      return address.load16x4U(offset).shl(16).bitsToF32x4()
    default:
      return address.loadF32x4(offset)
  }
}

/** One element as float32. */
export function loadOne(f: FunctionBuilder, dtype: DType, address: Address, offset = 0): F32 {
  switch (dtype) {
    case 'float16':
      return widenHalf(f, address.load16U(offset).splat()).lane(0)
    case 'bfloat16':
      return address.load16U(offset).shl(16).bitsToF32()
    default:
      return address.loadF32(offset)
  }
}

/** (x0 + x2) + (x1 + x3). */
export function sumLanes(f: FunctionBuilder, x: F32x4): F32 {
  const v = f.let(x)
  const pairs = f.let(v.add(v.shuffle(v, [2, 3, 0, 1])))
  return pairs.lane(0).add(pairs.lane(1))
}

/** [a0+a1+a2+a3, b.., c.., d..]: the lane sums of four vectors in one. */
export function sumLanesOfFour(f: FunctionBuilder, v: readonly [F32x4, F32x4, F32x4, F32x4]): F32x4 {
  const [a, b, c, d] = transpose4(f, v)
  return a.add(c).add(b.add(d))
}

/** The transpose of four rows of four. */
export function transpose4(
  f: FunctionBuilder,
  rows: readonly [F32x4, F32x4, F32x4, F32x4],
): [F32x4, F32x4, F32x4, F32x4] {
  const [a, b, c, d] = rows.map((r) => f.let(r))
  const ab = f.let(a.shuffle(b, [0, 4, 1, 5]))
  const cd = f.let(c.shuffle(d, [0, 4, 1, 5]))
  const abHigh = f.let(a.shuffle(b, [2, 6, 3, 7]))
  const cdHigh = f.let(c.shuffle(d, [2, 6, 3, 7]))
  return [
    ab.shuffle(cd, [0, 1, 4, 5]),
    ab.shuffle(cd, [2, 3, 6, 7]),
    abHigh.shuffle(cdHigh, [0, 1, 4, 5]),
    abHigh.shuffle(cdHigh, [2, 3, 6, 7]),
  ]
}
