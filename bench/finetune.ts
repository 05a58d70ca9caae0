/** Training steps of a BERT of all-MiniLM's shape: 32 sentences packed into a row, dropout, clipping, AdamW. */
import { tensor } from '../core/index.ts'
import { pack } from '../data/index.ts'
import { AdamW, clipGradNorm_ } from '../nn/optim/index.ts'
import { type BenchOptions, type BenchResult, round, sentences } from './bench.ts'
import { miniLmClassifier, VOCABULARY } from './models.ts'

const BATCH = 32
const WARM_UP = 3

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const model = miniLmClassifier().train()
  const optimizer = new AdamW(model.parameters(), { lr: 5e-5 })
  const step = async (texts: readonly Int32Array[]): Promise<number> => {
    const { inputIds, positionIds, cuSeqlens } = pack(texts)
    const tokens = inputIds.length
    const { loss } = model({
      inputIds: tensor(inputIds, [1, tokens]),
      positionIds: tensor(positionIds, [1, tokens]),
      cuSeqlens,
      labels: tensor(Int32Array.from(texts, (_, i) => i % 2)),
    })
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    await optimizer.step()
    optimizer.zeroGrad()
    await loss!.item()
    return tokens
  }
  for (let i = 0; i < WARM_UP; i++) await step(sentences(BATCH, VOCABULARY, i))
  const times: number[] = []
  const start = performance.now()
  let tokens = 0
  for (let i = 0; times.length < 3 || performance.now() - start < seconds * 1000; i++) {
    const before = performance.now()
    tokens += await step(sentences(BATCH, VOCABULARY, WARM_UP + i))
    times.push(performance.now() - before)
  }
  const elapsed = (performance.now() - start) / 1000
  return {
    value: round(tokens / elapsed),
    unit: 'tokens/s',
    detail: {
      steps: times.length,
      tokensPerStep: round(tokens / times.length),
      millisecondsPerStep: round((elapsed * 1000) / times.length),
      tokenization: 'not included',
    },
  }
}
