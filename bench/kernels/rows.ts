/** node bench/kernels/rows.ts: kernels that are bound by memory. Rates count the bytes read and written. */
import { type Call, report, type Tensor } from './harness.ts'

const rows: Tensor = { shape: [768, 384] }
const vector: Tensor = { shape: [384] }
const perRow: Tensor = { shape: [768] }
const bytes = 768 * 384 * 4
const eps = [{ value: 1e-5, type: 'f32' }] as const
const ids: Tensor = {
  dtype: 'int32',
  shape: [768],
  values: Array.from({ length: 768 }, (_, i) => (i * 7919) % 30522),
}
const logits: Tensor = { shape: [16, 49152] }

const CALLS: [string, Call, number][] = [
  ['softmax 768x384', { name: 'softmax', inputs: [rows], outputs: [rows], attrs: { log: false } }, 2 * bytes],
  [
    'layer norm 768x384',
    {
      name: 'layerNorm',
      inputs: [rows, vector, vector],
      outputs: [rows, perRow, perRow],
      attrs: { weight: true, bias: true },
      scalars: eps,
    },
    2 * bytes,
  ],
  [
    'layer norm, gradient',
    {
      name: 'layerNormBackward',
      inputs: [rows, rows, perRow, perRow, vector],
      outputs: [rows],
      attrs: { weight: true },
    },
    3 * bytes,
  ],
  [
    'rows of a table',
    { name: 'gatherRows', inputs: [{ shape: [30522, 384] }, ids], outputs: [rows] },
    2 * bytes,
  ],
  [
    'rows added to a table 30522x384',
    { name: 'scatterAddRows', inputs: [rows, ids], outputs: [{ shape: [30522, 384] }] },
    30522 * 384 * 4 + 3 * bytes,
  ],
  [
    'argmax 16x49152',
    { name: 'argmax', inputs: [logits], outputs: [{ dtype: 'int32', shape: [16] }] },
    16 * 49152 * 4,
  ],
  [
    'random bits 768x384',
    {
      name: 'philox',
      inputs: [],
      outputs: [{ dtype: 'int32', shape: [768 * 384] }],
      scalars: [1, 2, 3, 4].map((value) => ({ value, type: 'i32' }) as const),
    },
    bytes,
  ],
]

for (const [label, call, work] of CALLS) await report(label, call, work, 'GB/s')
