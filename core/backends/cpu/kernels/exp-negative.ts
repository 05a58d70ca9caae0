import { F32x4, type FunctionBuilder } from '../assembler.ts'

/** (2^r - 1) / r on |r| <= 1/2: our own minimax fit, relative error of 2^r 3e-9 before rounding. */
const EXP2 = [Math.LN2, 0.24022648, 0.0555036, 0.009618506, 0.0013390806, 0.00015326463]
/**
 * 1.5 * 2^23: a small number added to it is rounded to an integer, which appears in the low bits of the sum. (V8 has no
 * 256-bit form of the instruction that rounds.)
 */
const INTEGER_TO_BITS = 12582912
const SMALLEST = -126

/** e^x for four x <= 0 (up to 80 in fact): 0 below 2^-126, NaN for NaN. */
export type NegativeExponential = (x: F32x4) => F32x4

/**
 * Half the work of the general exponential. Call it before the loop that uses it: V8 would build a vector constant anew,
 * from two integer registers, wherever it is written; here the constants are variables.
 */
export function negativeExponential(f: FunctionBuilder): NegativeExponential {
  const constant = (value: number) => f.let(F32x4.const(value))
  const log2e = constant(Math.LOG2E)
  const smallest = constant(SMALLEST)
  const toBits = constant(INTEGER_TO_BITS + 127)
  const coefficients = [1, ...EXP2].map(constant)
  return (x) => {
    const given = f.let(x.mul(log2e))
    const bounded = f.let(given.pmax(smallest))
    const bits = f.let(bounded.add(toBits))
    const r = f.let(bounded.sub(bits.sub(toBits)))
    const sum = f.let<F32x4>(coefficients[6])
    for (let i = 5; i >= 0; i--) sum.set(f.madd(sum, r, coefficients[i]))
    const scale = bits.bitsToI32x4().shl(23).bitsToF32x4()
    return sum.mul(scale).bitsToI32x4().andNot(given.lt(smallest)).bitsToF32x4()
  }
}
