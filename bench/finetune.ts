/** Fine-tuning all-MiniLM on SST-2, the whole step: tokenization, 32 sentences packed into a row, dropout, clipping, AdamW. */
import { manualSeed, profile, tensor } from '../core/index.ts'
import { pack } from '../data/index.ts'
import { AdamW, clipGradNorm_ } from '../nn/optim/index.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample, sampled } from './bench.ts'
import { miniLmClassifier, tokenizerFolder } from './models.ts'
import { benchTexts } from './texts.ts'

const BATCH = 32
/** A run takes thousands of steps; engines optimize what they run during the first dozen, on either side. */
const WARM_UP = 16
/** Steps of one sample. */
const STEPS = 4

/** Trains on; each sample is the rate of the next few steps in real tokens a second. */
export async function prepare(options: BenchOptions): Promise<() => Promise<Sample>> {
  const model = (await miniLmClassifier(options)).train()
  const tokenizer = await AutoTokenizer.fromPretrained(tokenizerFolder(options))
  const texts = await benchTexts(options, 'train')
  const optimizer = new AdamW(model.parameters(), { lr: 5e-5, weightDecay: 0.01 })
  manualSeed(0)
  let at = 0
  const step = async (): Promise<number> => {
    if (at + BATCH > texts.length) at = 0
    const batch = texts.slice(at, (at += BATCH))
    const encoded = tokenizer(
      batch.map(({ text }) => text),
      { truncation: true, maxLength: 128, returnAttentionMask: false },
    )
    const { inputIds, positionIds, cuSeqlens } = pack(encoded.inputIds)
    const tokens = inputIds.length
    const { loss } = model({
      inputIds: tensor(inputIds, [1, tokens]),
      positionIds: tensor(positionIds, [1, tokens]),
      cuSeqlens,
      labels: tensor(Int32Array.from(batch, ({ label }) => label)),
    })
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    await optimizer.step()
    optimizer.zeroGrad()
    await loss!.item()
    return tokens
  }
  for (let i = 0; i < WARM_UP; i++) await step()
  return async () => {
    const start = performance.now()
    let tokens = 0
    for (let i = 0; i < STEPS; i++) tokens += await step()
    const elapsed = (performance.now() - start) / 1000
    return {
      value: tokens / elapsed,
      tokens,
      secondsPerStep: elapsed / STEPS,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const train = await prepare(options)
  const samples = await sampled(train, options.seconds)
  const { byOp } = await profile(train, { print: false })
  const perStep = (key: 'calls' | 'bytes') => byOp.reduce((sum, row) => sum + row[key], 0) / STEPS
  return {
    value: round(median(samples.map(({ value }) => value))),
    unit: 'tokens/s',
    detail: {
      steps: samples.length * STEPS,
      tokensPerStep: round(median(samples.map(({ tokens }) => tokens as number)) / STEPS),
      millisecondsPerStep: round(median(samples.map((s) => s.secondsPerStep as number)) * 1000),
      peakBytes: samples.at(-1)!.peakBytes,
      kernelsPerStep: round(perStep('calls')),
      // each operand of a kernel once
      megabytesPerStep: round(perStep('bytes') / 1e6),
      weights: options.models ? 'real' : 'random',
    },
  }
}
