/** A matrix product as the lowerings see it: merged batches, sizes, strides. */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'

export interface MatmulProblem {
  /** a [...batch, M, K] float32, b [...batch, K, N], c [...batch, M, N] contiguous. */
  readonly a: CallOperand
  readonly b: CallOperand
  readonly c: CallOperand
  readonly bias: CallOperand | null
  readonly batches: number
  readonly m: number
  readonly n: number
  readonly k: number
}

/** Whether dimensions d-1 and d of the operand are one run in memory. */
const follows = (o: CallOperand, d: number) => o.strides[d - 1] === o.strides[d] * o.shape[d]

const dropDimension = (o: CallOperand, d: number): CallOperand => ({
  ...o,
  shape: o.shape.toSpliced(d, 1),
  strides: o.strides.toSpliced(d, 1),
})

/** Merges dimension d into d-1 (whose stride becomes that of d). */
const mergeInto = (o: CallOperand, d: number): CallOperand => {
  const shape = o.shape.toSpliced(d - 1, 2, o.shape[d - 1] * o.shape[d])
  return { ...o, shape, strides: o.strides.toSpliced(d - 1, 1) }
}

/**
 * Drops batch dimensions of size 1, merges those that lie one in the other, and where b is the same for the whole
 * innermost batch dimension makes its rows of a one longer matrix ([B, T, K] x [K, N] is [B T, K] x [K, N]).
 */
export function matmulProblem(kernel: CallKernel): MatmulProblem {
  let [a, b] = kernel.inputs
  let c = kernel.outputs[0]
  const bias = kernel.attrs.bias ? kernel.inputs[2] : null
  for (let d = a.shape.length - 3; d >= 0; d--)
    if (a.shape[d] === 1) [a, b, c] = [a, b, c].map((o) => dropDimension(o, d))
  for (let d = a.shape.length - 3; d >= 1; d--)
    if (follows(a, d) && follows(b, d)) [a, b, c] = [a, b, c].map((o) => mergeInto(o, d))
  while (a.shape.length > 2) {
    const d = a.shape.length - 2
    if (b.strides[d - 1] !== 0 || !follows(a, d)) break
    a = mergeInto(a, d)
    c = mergeInto(c, d)
    b = dropDimension(b, d - 1)
  }
  const rank = a.shape.length
  return {
    a,
    b,
    c,
    bias,
    batches: a.shape.slice(0, -2).reduce((x, y) => x * y, 1),
    m: a.shape[rank - 2],
    k: a.shape[rank - 1],
    n: b.shape[rank - 1],
  }
}
