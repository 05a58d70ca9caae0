/** Sentence embeddings with all-MiniLM, as `pipeline('feature-extraction')` makes them: packed, mean over each text, at length 1. */
import { noGrad, tensor } from '../core/index.ts'
import { makeBatches, pack } from '../data/index.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample, sampled } from './bench.ts'
import { miniLm, tokenizerFolder } from './models.ts'
import { benchTexts } from './texts.ts'

const BATCH = 32

/** Each sample embeds all sentences once, tokenization included, in sentences a second. */
export async function prepare(options: BenchOptions): Promise<() => Promise<Sample>> {
  const model = await miniLm(options)
  const tokenizer = await AutoTokenizer.fromPretrained(tokenizerFolder(options))
  const texts = (await benchTexts(options, 'dev')).map(({ text }) => text)
  const batches = makeBatches(
    texts.map(() => 1),
    { batchSize: BATCH },
  )
  const embedAll = async () => {
    let tokens = 0
    for (const indices of batches) {
      const batch = indices.map((i) => texts[i])
      const encoded = tokenizer(batch, { truncation: true, returnAttentionMask: false })
      const { inputIds, positionIds, cuSeqlens } = pack(encoded.inputIds)
      const means = noGrad(() => {
        const { lastHiddenState } = model({
          inputIds: tensor(inputIds, [1, inputIds.length]),
          positionIds: tensor(positionIds, [1, inputIds.length]),
          cuSeqlens,
        })
        return tensor(averaging(cuSeqlens), [batch.length, inputIds.length]).matmul(
          lastHiddenState.squeeze(0),
        )
      })
      await means.div(means.square().sum(-1, { keepdim: true }).sqrt()).data()
      tokens += inputIds.length
    }
    return tokens
  }
  await embedAll()
  return async () => {
    const start = performance.now()
    const tokens = await embedAll()
    const seconds = (performance.now() - start) / 1000
    return { value: texts.length / seconds, sentences: texts.length, tokens }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const samples = await sampled(await prepare(options), options.seconds)
  const { sentences, tokens } = samples[0]
  return {
    value: round(median(samples.map(({ value }) => value))),
    unit: 'sentences/s',
    detail: { sentences, batch: BATCH, tokens, weights: options.models ? 'real' : 'random' },
  }
}

/** The matrix [texts, T] that takes the mean of each text's rows. */
function averaging(cuSeqlens: Int32Array): Float32Array {
  const tokens = cuSeqlens.at(-1)!
  const matrix = new Float32Array((cuSeqlens.length - 1) * tokens)
  for (let i = 0; i + 1 < cuSeqlens.length; i++)
    matrix.fill(
      1 / (cuSeqlens[i + 1] - cuSeqlens[i]),
      i * tokens + cuSeqlens[i],
      i * tokens + cuSeqlens[i + 1],
    )
  return matrix
}
