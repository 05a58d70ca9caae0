/** Kernels that read or write where an index says. */
import { numel } from '../../shape.ts'
import type { CallFunction } from './calls.ts'

const inside = (i: number, size: number): boolean => i >= 0 && i < size

/** Rows of table [V, D] at ids [N]. */
export const gatherRows: CallFunction = ({ inputs: [table, ids] }) => {
  const [V, D] = table.shape
  const out = new Float64Array(ids.data.length * D).fill(NaN)
  ids.data.forEach((id, n) => {
    if (inside(id, V)) out.set(table.data.subarray(id * D, (id + 1) * D), n * D)
  })
  return [out]
}

/** Rows of src [N, D] added into [V, D] at ids [N]. */
export const scatterAddRows: CallFunction = ({ inputs: [src, ids], outputs }) => {
  const [V, D] = outputs[0]
  const out = new Float64Array(V * D)
  ids.data.forEach((id, n) => {
    if (inside(id, V)) for (let d = 0; d < D; d++) out[id * D + d] += src.data[n * D + d]
  })
  return [out]
}

/** Rows of src [N, D] in place of those of [V, D] at ids [N]. */
export const putRows: CallFunction = ({ inputs: [src, ids], outputs, previous }) => {
  const [V, D] = outputs[0]
  const out = previous(0)
  ids.data.forEach((id, n) => {
    if (inside(id, V)) out.set(src.data.subarray(n * D, (n + 1) * D), id * D)
  })
  return [out]
}

/** x [R, C] at index [R, K], along the rows. */
export const gather: CallFunction = ({ inputs: [x, index], outputs }) => {
  const C = x.shape[x.shape.length - 1]
  const K = index.shape[index.shape.length - 1]
  const out = new Float64Array(numel(outputs[0]))
  index.data.forEach((c, i) => {
    out[i] = inside(c, C) ? x.data[Math.floor(i / K) * C + c] : NaN
  })
  return [out]
}

export const argmax: CallFunction = ({ inputs: [x], outputs }) => {
  const C = x.shape[x.shape.length - 1]
  const out = new Float64Array(numel(outputs[0]))
  for (let r = 0; r < out.length; r++) {
    const row = x.data.subarray(r * C, (r + 1) * C)
    const firstNaN = row.findIndex((v) => Number.isNaN(v))
    out[r] = firstNaN >= 0 ? firstNaN : row.indexOf(row.reduce((m, v) => Math.max(m, v), -Infinity))
  }
  return [out]
}
