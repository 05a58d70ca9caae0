/** Softmax and the norms, over rows [rows, C]. */
import type { CallFunction, Dense } from './calls.ts'

const rowLength = (x: Dense): number => x.shape[x.shape.length - 1]

/** The rows of x; none where a row is empty. */
function rowsOf(x: Dense): Float64Array[] {
  const C = rowLength(x)
  const count = C === 0 ? 0 : x.data.length / C
  return Array.from({ length: count }, (_, r) => x.data.subarray(r * C, (r + 1) * C))
}

const mean = (row: Float64Array, f: (x: number, c: number) => number): number =>
  row.reduce((sum, x, c) => sum + f(x, c), 0) / row.length

export const softmax: CallFunction = ({ inputs: [x], attrs }) => {
  const out = new Float64Array(x.data.length)
  rowsOf(x).forEach((row, r) => {
    const largest = row.reduce((m, v) => Math.max(m, v), -Infinity)
    const sum = row.reduce((s, v) => s + Math.exp(v - largest), 0)
    row.forEach((v, c) => {
      out[r * row.length + c] = attrs.log ? v - largest - Math.log(sum) : Math.exp(v - largest) / sum
    })
  })
  return [out]
}

export const layerNorm: CallFunction = ({ inputs, attrs, scalars: [eps], outputs }) => {
  const [x, ...rest] = inputs
  const weight = attrs.weight ? rest.shift() : undefined
  const bias = attrs.bias ? rest.shift() : undefined
  const y = new Float64Array(x.data.length)
  const means = new Float64Array(outputs[1].reduce((a, b) => a * b, 1))
  const rstds = new Float64Array(means.length)
  rowsOf(x).forEach((row, r) => {
    const mu = (means[r] = mean(row, (v) => v))
    const rstd = (rstds[r] = 1 / Math.sqrt(mean(row, (v) => (v - mu) ** 2) + eps))
    row.forEach((v, c) => {
      y[r * row.length + c] = (v - mu) * rstd * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0)
    })
  })
  return [y, means, rstds]
}

/** dx = rstd (g - mean(g) - xhat mean(g xhat)) with g = dy weight. */
export const layerNormBackward: CallFunction = ({ inputs: [dy, x, means, rstds, weight] }) => {
  const dx = new Float64Array(x.data.length)
  const gradients = rowsOf(dy)
  rowsOf(x).forEach((row, r) => {
    const g = gradients[r].map((v, c) => v * (weight?.data[c] ?? 1))
    const normalized = row.map((v) => (v - means.data[r]) * rstds.data[r])
    const meanG = mean(g, (v) => v)
    const meanGX = mean(g, (v, c) => v * normalized[c])
    g.forEach((v, c) => {
      dx[r * row.length + c] = rstds.data[r] * (v - meanG - normalized[c] * meanGX)
    })
  })
  return [dx]
}

export const rmsNorm: CallFunction = ({ inputs: [x, weight], scalars: [eps], outputs }) => {
  const y = new Float64Array(x.data.length)
  const rstds = new Float64Array(outputs[1].reduce((a, b) => a * b, 1))
  rowsOf(x).forEach((row, r) => {
    const rstd = (rstds[r] = 1 / Math.sqrt(mean(row, (v) => v * v) + eps))
    row.forEach((v, c) => {
      y[r * row.length + c] = v * rstd * (weight?.data[c] ?? 1)
    })
  })
  return [y, rstds]
}

/** dx = rstd (g - xhat mean(g xhat)) with g = dy weight. */
export const rmsNormBackward: CallFunction = ({ inputs: [dy, x, rstds, weight] }) => {
  const dx = new Float64Array(x.data.length)
  const gradients = rowsOf(dy)
  rowsOf(x).forEach((row, r) => {
    const g = gradients[r].map((v, c) => v * (weight?.data[c] ?? 1))
    const normalized = row.map((v) => v * rstds.data[r])
    const meanGX = mean(g, (v, c) => v * normalized[c])
    g.forEach((v, c) => {
      dx[r * row.length + c] = rstds.data[r] * (v - normalized[c] * meanGX)
    })
  })
  return [dx]
}
