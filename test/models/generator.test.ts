import { beforeAll, describe, expect, it } from 'vitest'
import { noGrad, setDefaultDevice } from '../../core/index.ts'
import { addresses, split } from '../../models/corpus.ts'
import { AutoModelForCausalLM } from '../../transformers/auto.ts'
import { AutoTokenizer } from '../../transformers/tokenizer/auto.ts'
import { GENERATOR, readCard, weightBytes } from './embedded.ts'

beforeAll(async () => {
  await setDefaultDevice('cpu')
})

describe('models/generator', () => {
  it('is small enough, and says what it is and where it comes from', async () => {
    expect(await weightBytes(GENERATOR)).toBeLessThan(24.5e6)
    const { fields, text } = await readCard(GENERATOR)
    expect(fields.get('license')).toBe('apache-2.0')
    expect(text).toContain('## Origin')
    expect(text).toContain('models/make-generator.ts')
    const bitsPerByte = Number(/held-out bits per byte \| ([\d.]+)/.exec(text)?.[1])
    expect(bitsPerByte).toBeLessThan(2)
    const copied = Number(/that is in the corpus \(seed 1\) \| (\d+) characters/.exec(text)?.[1])
    expect(copied).toBeLessThan(50)
  })

  it('predicts text that it was not trained on, as its card says', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(GENERATOR)
    const model = await AutoModelForCausalLM.fromPretrained(GENERATOR)
    const [{ text }] = split(addresses()).heldOut
    const inputIds = tokenizer.encode(text.slice(0, 2000)).slice(0, 256)
    const bytes = new TextEncoder().encode(tokenizer.decode(inputIds)).length
    const { loss } = noGrad(() => model({ inputIds: [inputIds], labels: [inputIds] }))
    const bits = ((await loss!.item()) * (inputIds.length - 1)) / Math.LN2
    expect(bits / bytes).toBeLessThan(2)
  })

  it('continues a prompt in the same words every time', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(GENERATOR)
    const model = await AutoModelForCausalLM.fromPretrained(GENERATOR)
    const prompt = tokenizer.encode('The Congress of the United')
    const { sequences } = await model.generate([prompt], { doSample: false, maxNewTokens: 3 })
    expect(tokenizer.decode(sequences[0])).toBe('The Congress of the United States, and')
  })

  it('has settings for sampling that generate takes', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(GENERATOR)
    const model = await AutoModelForCausalLM.fromPretrained(GENERATOR)
    expect(model.generationConfig).toMatchObject({ do_sample: true, eos_token_id: tokenizer.eosTokenId })
    const { newTokens } = await model.generate([tokenizer.encode('The sea')], { maxNewTokens: 3 })
    expect(newTokens).toBe(3)
  })
})
