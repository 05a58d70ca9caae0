import { beforeAll, describe, expect, it } from 'vitest'
import { noGrad, setDefaultDevice } from '../../core/index.ts'
import { AutoModel } from '../../transformers/auto.ts'
import { AutoTokenizer } from '../../transformers/tokenizer/auto.ts'
import { ENCODER, readCard, weightBytes } from './embedded.ts'

beforeAll(async () => {
  await setDefaultDevice('cpu')
})

/** Means of the last hidden states, of length 1. */
async function embeddings(texts: string[]): Promise<number[][]> {
  const tokenizer = await AutoTokenizer.fromPretrained(ENCODER)
  const model = await AutoModel.fromPretrained(ENCODER)
  const out: number[][] = []
  for (const text of texts) {
    const inputIds = tokenizer(text).inputIds as number[]
    const { lastHiddenState } = noGrad(() => model({ inputIds: [inputIds] }))
    const mean = (await lastHiddenState.mean(1).tolist()) as number[][]
    const norm = Math.hypot(...mean[0])
    out.push(mean[0].map((x) => x / norm))
  }
  return out
}

const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0)

describe('models/encoder', () => {
  it('is small enough, and says what it is and where it comes from', async () => {
    expect(await weightBytes(ENCODER)).toBeLessThan(24.5e6)
    const { fields, text } = await readCard(ENCODER)
    expect(fields.get('license')).toBe('apache-2.0')
    expect(fields.get('base_model')).toBe('sentence-transformers/all-MiniLM-L6-v2')
    expect(text).toContain('## Origin')
    expect(text).toContain('models/make-encoder.ts')
    expect(text).toMatch(/\| distilled \| 0\.\d+ \| 0\.\d+ \|/)
  })

  it('has a tokenizer whose ids fit its embeddings', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(ENCODER)
    const model = await AutoModel.fromPretrained(ENCODER)
    const { vocab_size } = model.config as unknown as { vocab_size: number }
    expect(tokenizer.vocabSize).toBe(vocab_size)
    const { inputIds, tokenTypeIds } = tokenizer('Free offers!', { textPair: 'naïve cafés' })
    expect(tokenizer.convertIdsToTokens(inputIds as number[])).toEqual([
      '[CLS]',
      'free',
      'offers',
      '!',
      '[SEP]',
      'naive',
      'cafe',
      '##s',
      '[SEP]',
    ])
    expect(tokenTypeIds).toEqual([0, 0, 0, 0, 0, 1, 1, 1, 1])
    expect(tokenizer.padTokenId).toBe(model.config.pad_token_id)
    expect(tokenizer('zyxwvut ¶ €5', { addSpecialTokens: false }).inputIds).not.toContain(
      tokenizer.unkTokenId,
    )
  })

  it('puts texts of one meaning closer together than others', async () => {
    const [lunch, meal, kernel, compiler] = await embeddings([
      'Shall we have lunch together tomorrow at noon?',
      'Would you like to eat with me tomorrow?',
      'The kernel module fails to build with the new version of gcc.',
      'After the upgrade, compiling the driver stops with an error.',
    ])
    expect(dot(lunch, meal)).toBeGreaterThan(dot(lunch, kernel) + 0.2)
    expect(dot(kernel, compiler)).toBeGreaterThan(dot(meal, compiler) + 0.2)
  })
})
