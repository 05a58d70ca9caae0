/** node bench/kernels/matmul.ts [word]: matrix products, few rows and small batches; `word` selects by label. */
import type { DType } from '../../core/dtype.ts'
import { report } from './harness.ts'

interface Product {
  readonly label: string
  readonly m: number
  readonly n: number
  readonly k: number
  readonly batch?: number
  /** a given as [K, M], b as [N, K]. */
  readonly transposed?: 'a' | 'b'
  readonly dtypeB?: DType
  /** Bound by memory: the rate counts the bytes of b. */
  readonly streams?: boolean
}

const PRODUCTS: Product[] = [
  { label: 'square', m: 1024, n: 1024, k: 1024 },
  { label: 'MiniLM q, k, v: x W^T', m: 768, n: 384, k: 384, transposed: 'b' },
  { label: 'MiniLM up: x W^T', m: 768, n: 1536, k: 384, transposed: 'b' },
  { label: 'MiniLM down: x W^T', m: 768, n: 384, k: 1536, transposed: 'b' },
  { label: 'MiniLM up, dx = dy W', m: 768, n: 384, k: 1536 },
  { label: 'MiniLM up, dW = dy^T x', m: 1536, n: 384, k: 768, transposed: 'a' },
  { label: 'few tokens: x W^T', m: 32, n: 384, k: 384, transposed: 'b' },
  { label: 'very few tokens: x W^T', m: 10, n: 384, k: 384, transposed: 'b' },
  { label: 'SmolLM2 prefill', m: 32, n: 1536, k: 576, transposed: 'b' },
  { label: 'logits of 128 tokens', m: 128, n: 49152, k: 576, transposed: 'b' },
  { label: 'matrix-vector, all logits', m: 1, n: 49152, k: 576, transposed: 'b', streams: true },
  {
    label: 'matrix-vector, all logits, bfloat16',
    m: 1,
    n: 49152,
    k: 576,
    transposed: 'b',
    dtypeB: 'bfloat16',
    streams: true,
  },
  { label: 'matrix-vector', m: 1, n: 1536, k: 576, transposed: 'b', streams: true },
  {
    label: 'matrix-vector, bfloat16',
    m: 1,
    n: 1536,
    k: 576,
    transposed: 'b',
    dtypeB: 'bfloat16',
    streams: true,
  },
  { label: 'matrix-vector, [K, N] (GPT-2)', m: 1, n: 2304, k: 768, streams: true },
  { label: 'eight rows', m: 8, n: 1536, k: 576, transposed: 'b', streams: true },
  { label: 'eight rows, all logits', m: 8, n: 49152, k: 576, transposed: 'b', streams: true },
  {
    label: 'eight rows, all logits, bfloat16',
    m: 8,
    n: 49152,
    k: 576,
    transposed: 'b',
    dtypeB: 'bfloat16',
    streams: true,
  },
  { label: 'attention scores, decomposed', batch: 144, m: 64, n: 64, k: 32, transposed: 'b' },
  { label: 'attention values, decomposed', batch: 144, m: 64, n: 32, k: 64 },
  { label: 'classifier', m: 768, n: 2, k: 384, transposed: 'b' },
]

for (const p of PRODUCTS.filter((x) => x.label.includes(process.argv[2] ?? ''))) {
  const { m, n, k, batch = 1 } = p
  const a = { shape: [batch, m, k], strides: p.transposed === 'a' ? [m * k, 1, m] : undefined }
  const b = {
    shape: [batch, k, n],
    strides: p.transposed === 'b' ? [n * k, 1, k] : undefined,
    dtype: p.dtypeB,
  }
  const call = {
    name: 'matmul',
    inputs: [a, b],
    outputs: [{ shape: [batch, m, n] }],
    attrs: { bias: false },
  } as const
  const work = p.streams ? n * k * (p.dtypeB ? 2 : 4) : 2 * batch * m * n * k
  await report(
    `${p.label} ${batch > 1 ? `${batch} x ` : ''}${m}x${n}x${k}`,
    call,
    work,
    p.streams ? 'GB/s' : 'GFLOP/s',
  )
}
