/** node bench/kernels/attention.ts: attention and its gradient. Rates count 4 (10) T^2 D multiplications and additions. */
import { type Call, report, type Tensor } from './harness.ts'

interface Case {
  readonly label: string
  readonly heads: number
  readonly kvHeads?: number
  readonly queries: number
  readonly keys?: number
  readonly kvLength?: number
  readonly depth: number
  readonly causal?: boolean
  readonly dropout?: boolean
  readonly lengths?: readonly number[]
}

/** 700 tokens in texts of 8 to 39, as in a packed step of 32 sentences. */
function textLengths(): number[] {
  const lengths: number[] = []
  let [left, state] = [700, 7]
  while (left > 0) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    lengths.push(Math.min(left, 8 + (state >>> 27)))
    left -= lengths[lengths.length - 1]
  }
  return lengths
}

const CASES: Case[] = [
  { label: 'MiniLM, packed texts', heads: 12, queries: 700, depth: 32, lengths: textLengths() },
  {
    label: 'MiniLM, packed texts, dropout',
    heads: 12,
    queries: 700,
    depth: 32,
    lengths: textLengths(),
    dropout: true,
  },
  { label: 'MiniLM, one text', heads: 12, queries: 128, depth: 32 },
  { label: 'SmolLM2, causal', heads: 9, kvHeads: 3, queries: 512, depth: 64, causal: true },
  { label: 'GPT-2, causal', heads: 12, queries: 2048, depth: 64, causal: true },
  {
    label: 'SmolLM2, one query',
    heads: 9,
    kvHeads: 3,
    queries: 1,
    keys: 2048,
    kvLength: 2048,
    depth: 64,
    causal: true,
  },
  {
    label: 'SmolLM2, one query',
    heads: 9,
    kvHeads: 3,
    queries: 1,
    keys: 2048,
    kvLength: 128,
    depth: 64,
    causal: true,
  },
]

/** [1, H, T, D] as a linear layer leaves it. */
const heads = (count: number, tokens: number, depth: number): Tensor => ({
  shape: [1, count, tokens, depth],
  strides: [tokens * count * depth, depth, count * depth, 1],
})

for (const c of CASES) {
  const { queries, depth, kvHeads = c.heads, keys = queries, kvLength = keys, lengths } = c
  const cuSeqlens = lengths && [0, ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b))]
  const optional: Tensor[] = cuSeqlens
    ? [{ dtype: 'int32', shape: [cuSeqlens.length], values: cuSeqlens }]
    : []
  const qkv = [heads(c.heads, queries, depth), heads(kvHeads, keys, depth), heads(kvHeads, keys, depth)]
  const o: Tensor = { shape: [1, queries, c.heads, depth] }
  const lse: Tensor = { shape: [1, c.heads, queries] }
  const kv: Tensor = { shape: [1, keys, kvHeads, depth] }
  const common = {
    attrs: {
      causal: c.causal === true,
      mask: false,
      packed: cuSeqlens !== undefined,
      dropout: c.dropout === true,
    },
    scalars: [
      { value: depth ** -0.5, type: 'f32' },
      { value: kvLength, type: 'i32' },
      ...(c.dropout ? [{ value: 0.1, type: 'f32' } as const] : []),
      ...(c.dropout ? [1, 2, 3, 4].map((value) => ({ value, type: 'i32' }) as const) : []),
    ],
  } as const
  const forward: Call = { name: 'attention', inputs: [...qkv, ...optional], outputs: [o, lse], ...common }
  const pairs = lengths
    ? lengths.reduce((sum, n) => sum + n * n, 0)
    : (queries * kvLength) / (c.causal && queries > 1 ? 2 : 1)
  const work = 4 * pairs * c.heads * depth
  const label = `${c.label} ${c.heads}x${queries}x${kvLength}x${depth}`
  await report(label, forward, work, 'GFLOP/s')
  if (queries === 1) continue
  const inputs = [o, ...qkv, o, lse, ...optional]
  const backward: Call = { name: 'attentionBackward', inputs, outputs: [o, kv, kv], ...common }
  await report(`  gradient`, backward, 2.5 * work, 'GFLOP/s')
}
