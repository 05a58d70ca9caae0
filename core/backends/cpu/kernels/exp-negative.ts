import { F32x4, type FunctionBuilder, type I32x4 } from '../assembler.ts'

/** (2^r - 1) / r on |r| <= 1/2: our own minimax fit, relative error of 2^r 3e-9 before rounding. */
const EXP2 = [Math.LN2, 0.24022648, 0.0555036, 0.009618506, 0.0013390806, 0.00015326463]
/** 1.5 * 2^23: a small integer added to it appears in the low bits of the sum. */
const INTEGER_TO_BITS = 12582912
const SMALLEST = -126

/** e^x for x <= 0 (up to 80 in fact): 0 below 2^-126, NaN for NaN. Half the work of the general exponential. */
export function expNegative(f: FunctionBuilder, x: F32x4): F32x4 {
  const given = f.let(x.mul(F32x4.const(Math.LOG2E)))
  const bounded = f.let(given.pmax(F32x4.const(SMALLEST)))
  const n = f.let(bounded.nearest())
  const r = f.let(bounded.sub(n))
  const sum = f.let(F32x4.const(EXP2[5]))
  for (let i = 4; i >= 0; i--) sum.set(f.madd(sum, r, F32x4.const(EXP2[i])))
  sum.set(f.madd(sum, r, F32x4.const(1)))
  const scale = n
    .add(F32x4.const(INTEGER_TO_BITS + 127))
    .bitsToI32x4()
    .shl(23)
    .bitsToF32x4()
  const isZero: I32x4 = given.lt(F32x4.const(SMALLEST))
  return sum.mul(scale).bitsToI32x4().andNot(isZero).bitsToF32x4()
}
