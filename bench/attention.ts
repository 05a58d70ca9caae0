/** Attention of packed sentences, forward and backward. */
import { manualSeed, randn, tensor } from '../core/index.ts'
import { functional as F } from '../nn/index.ts'
import { type BenchOptions, type BenchResult, round, sentences, time } from './bench.ts'

const HEADS = 12
const WIDTH = 32

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  manualSeed(0)
  const lengths = sentences(64, 100).map(({ length }) => length)
  const ends = lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))
  const tokens = ends.at(-1)!
  const cuSeqlens = tensor(Int32Array.from([0, ...ends]))
  const [q, k, v] = [0, 1, 2].map(() => randn([1, HEADS, tokens, WIDTH]).detach().requiresGrad_().retain())
  const { median } = await time(async () => {
    const loss = F.scaledDotProductAttention(q, k, v, { cuSeqlens }).sum()
    loss.backward()
    await loss.item()
  }, seconds)
  return {
    value: round(tokens / median),
    unit: 'tokens/s',
    detail: {
      heads: HEADS,
      headWidth: WIDTH,
      sentences: lengths.length,
      tokens,
      milliseconds: round(median * 1000),
    },
  }
}
