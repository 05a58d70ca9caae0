import { numel } from '../../shape.ts'
import type { CallFunction } from './calls.ts'

/** a [...B, M, K] times b [...B, K, N], plus bias [N]. */
export const matmul: CallFunction = ({ inputs: [a, b, bias], attrs, outputs }) => {
  const [M, K] = a.shape.slice(-2)
  const N = b.shape[b.shape.length - 1]
  const batch = numel(a.shape.slice(0, -2))
  const out = new Float64Array(numel(outputs[0]))
  const [left, right] = [a.data, b.data]
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < M; i++) {
      const row = (n * M + i) * N
      if (attrs.bias) out.set(bias.data, row)
      for (let k = 0; k < K; k++) {
        const x = left[(n * M + i) * K + k]
        const at = (n * K + k) * N
        for (let j = 0; j < N; j++) out[row + j] += x * right[at + j]
      }
    }
  return [out]
}
