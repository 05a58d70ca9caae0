/**
 * node bench/kernels/layers.ts [rows...]: the products of layers (x W^T, dy W, dy^T x) by the number of rows, two threads, as a
 * share of twice the micro-kernel's rate on one; up to 8 rows in GB/s of weights, which memory bounds.
 */
import type { DType } from '../../core/dtype.ts'
import { time } from './harness.ts'
import { microKernel } from './peak.ts'

const THREADS = 2
/** [in, out] of MiniLM's and SmolLM2's layers. */
const LAYERS = [
  [384, 384],
  [384, 1536],
  [1536, 384],
  [576, 1536],
] as const
const FEW = 8

type Kind = 'x W^T' | 'dy W' | 'dy^T x'

/** The shortest time of a product of a layer, in milliseconds. */
function product(kind: Kind, rows: number, inner: number, outer: number, dtypeB: DType): Promise<number> {
  const [m, k, n] =
    kind === 'x W^T' ? [rows, inner, outer] : kind === 'dy W' ? [rows, outer, inner] : [outer, rows, inner]
  const a = { shape: [m, k], strides: kind === 'dy^T x' ? [1, m] : undefined }
  const b = { shape: [k, n], strides: kind === 'x W^T' ? [1, k] : undefined, dtype: dtypeB }
  const outputs = [{ shape: [m, n] }]
  const repeat = Math.max(1, Math.min(16, Math.round(2e8 / (rows * inner * outer))))
  return time(
    { name: 'matmul', inputs: [a, b], outputs, attrs: { bias: false } },
    THREADS,
    'off',
    0.15,
    repeat,
  )
}

const wanted = process.argv.slice(2).map(Number)
const peak = microKernel()
console.log(
  `micro-kernel ${peak.toFixed(0)} GFLOP/s a thread; % of ${THREADS} times that, or GB/s of weights`,
)
const kinds = ['x W^T', 'dy W', 'dy^T x'] as const
for (const rows of wanted.length > 0 ? wanted : [1, 8, 16, 32, 64, 128, 768]) {
  const cells: string[] = []
  for (const [inner, outer] of LAYERS) {
    const isFew = rows <= FEW
    for (const kind of isFew ? kinds.slice(0, 2) : kinds)
      for (const dtype of isFew ? (['float32', 'bfloat16'] as const) : (['float32'] as const)) {
        const ms = await product(kind, rows, inner, outer, dtype)
        const gigaflops = (2 * rows * inner * outer) / ms / 1e6
        const bytes = inner * outer * (dtype === 'float32' ? 4 : 2)
        cells.push((isFew ? bytes / ms / 1e6 : (100 * gigaflops) / peak / THREADS).toFixed(0).padStart(4))
      }
    cells.push(' |')
  }
  console.log(`${String(rows).padStart(5)} rows ${cells.join('')}`)
}
