/** Sentence embeddings with a BERT of all-MiniLM's shape: packed, mean over each sentence, at length 1. */
import { noGrad, tensor } from '../core/index.ts'
import { makeBatches, pack } from '../data/index.ts'
import { type BenchOptions, type BenchResult, round, sentences, time } from './bench.ts'
import { miniLm, VOCABULARY } from './models.ts'

const SENTENCES = 256
const BATCH = 32

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const model = miniLm()
  const texts = sentences(SENTENCES, VOCABULARY)
  const batches = makeBatches(
    texts.map(({ length }) => length),
    { batchSize: BATCH },
  ).map((indices) => pack(indices.map((i) => texts[i])))
  const { median } = await time(async () => {
    for (const { inputIds, cuSeqlens } of batches) {
      const sums = noGrad(() => {
        const { lastHiddenState } = model({ inputIds: tensor(inputIds, [1, inputIds.length]), cuSeqlens })
        return tensor(averaging(cuSeqlens), [cuSeqlens.length - 1, inputIds.length]).matmul(
          lastHiddenState.squeeze(0),
        )
      })
      await sums.div(sums.square().sum(-1, { keepdim: true }).sqrt()).data()
    }
  }, seconds)
  return {
    value: round(SENTENCES / median),
    unit: 'sentences/s',
    detail: {
      sentences: SENTENCES,
      batch: BATCH,
      tokens: texts.reduce((sum, { length }) => sum + length, 0),
    },
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
