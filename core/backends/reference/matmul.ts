import { numel } from '../../shape.ts'
import type { CallFunction } from './calls.ts'

/** a [...B, M, K] times b [...B, K, N], plus bias [N]. */
export const matmul: CallFunction = ({ inputs: [a, b, bias], attrs, outputs }) => {
  const [M, K] = a.shape.slice(-2)
  const N = b.shape[b.shape.length - 1]
  const batch = numel(a.shape.slice(0, -2))
  const out = new Float64Array(numel(outputs[0]))
  for (let n = 0; n < batch; n++)
    for (let i = 0; i < M; i++) {
      const row = out.subarray((n * M + i) * N, (n * M + i + 1) * N)
      if (attrs.bias) row.set(bias.data)
      for (let k = 0; k < K; k++) {
        const x = a.data[(n * M + i) * K + k]
        const at = (n * K + k) * N
        for (let j = 0; j < N; j++) row[j] += x * b.data[at + j]
      }
    }
  return [out]
}
