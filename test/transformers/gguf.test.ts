import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { beforeAll, describe, expect, test } from 'vitest'
import { setDefaultDevice } from '../../core/index.ts'
import type { GgufFile, GgufValue } from '../../hub/index.ts'
import { PreTrainedTokenizer } from '../../tokenization/index.ts'
import { llamaConfig } from '../../transformers/gguf/llama.ts'
import { Metadata } from '../../transformers/gguf/metadata.ts'
import { tokenizerFromGguf } from '../../transformers/gguf/tokenizer.ts'
import { AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM } from '../../transformers/index.ts'

const goldens = (name: string) => fileURLToPath(new URL(`../goldens/${name}`, import.meta.url))
const GGUF = goldens('gguf')
const LLAMA = goldens('models/llama-tiny/causal_lm')
const inputs = { inputIds: [[7, 8, 9, 10, 11, 120, 3]] }

beforeAll(async () => {
  await setDefaultDevice('cpu')
})

describe('a Llama in a GGUF file', () => {
  test('gives the logits of the checkpoint that it was made from', async () => {
    const original = await AutoModelForCausalLM.fromPretrained(LLAMA)
    const expected = await original(inputs).logits.data()
    const named = await AutoModelForCausalLM.fromPretrained(GGUF, { ggufFile: 'llama.gguf' })
    expect(await named(inputs).logits.data()).toEqual(expected)
    const direct = await LlamaForCausalLM.fromPretrained(join(GGUF, 'llama.gguf'))
    expect(await direct(inputs).logits.data()).toEqual(expected)
    for (const field of ['head_dim', 'rms_norm_eps', 'rope_parameters', 'tie_word_embeddings', 'vocab_size'])
      expect(named.config).toHaveProperty(field, original.config[field as keyof typeof original.config])
  })

  test('is close to it from Q8_0, whatever it is kept in', async () => {
    const original = await AutoModelForCausalLM.fromPretrained(LLAMA)
    const expected = await original(inputs).logits.data()
    for (const dtype of ['float32', 'auto', 'bfloat16'] as const) {
      const model = await AutoModelForCausalLM.fromPretrained(GGUF, { ggufFile: 'llama-q8_0.gguf', dtype })
      const logits = await model(inputs).logits.data()
      const norm = Math.hypot(...expected)
      const difference = Math.hypot(...Array.from(expected, (x, i) => x - logits[i]))
      expect(difference / norm).toBeLessThan(0.03) // codes of 8 bits: half a step of 1/127 a weight, over two layers
      expect(difference).toBeGreaterThan(0)
    }
  })

  test('has its tokenizer and chat template with it', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(GGUF, { ggufFile: 'llama.gguf' })
    const { inputIds } = tokenizer('the sand</s>')
    expect(tokenizer.decode(inputIds)).toBe('the sand</s>')
    expect(inputIds.at(-1)).toBe(2)
    expect([tokenizer.bosToken, tokenizer.eosToken, tokenizer.padToken]).toEqual(['<s>', '</s>', '<pad>'])
    const chat = tokenizer.applyChatTemplate([{ role: 'user', content: 'hi' }], { tokenize: false })
    expect(chat).toBe('<|user|>hi</s>')
  })

  test('a missing file, and one that is no model, are errors of one line', async () => {
    const failure = (file: string) =>
      AutoModelForCausalLM.fromPretrained(GGUF, { ggufFile: file }).then(String, (e: Error) => e.message)
    expect(await failure('none.gguf')).toMatch(/^\[gguf\] [^\n]*none\.gguf: no such file$/)
    expect(await failure('types.gguf')).toContain('architecture "test"; built is llama')
  })
})

/** A file of which only what a config needs is there. */
function describedFile(factors?: Float32Array): GgufFile {
  const shape = [32, 64]
  const tensors = new Map(
    ['token_embd.weight', ...(factors ? ['rope_freqs.weight'] : [])].map((name) => [
      name,
      { name, dtype: 'F32', shape, byteLength: 0 },
    ]),
  )
  return {
    name: 'f.gguf',
    metadata: new Map(),
    tensors,
    info: (name: string) => tensors.get(name)!,
    readFloat32: async () => factors!,
  } as unknown as GgufFile
}

const configOf = (file: GgufFile, more: Record<string, GgufValue> = {}) => {
  const sizes = { embedding_length: 256, feed_forward_length: 64, block_count: 2, context_length: 4096 }
  const values: Record<string, GgufValue> = {
    ...Object.fromEntries(Object.entries(sizes).map(([key, value]) => [`llama.${key}`, value])),
    'llama.attention.head_count': 4,
    'llama.attention.layer_norm_rms_epsilon': Math.fround(1e-5),
    'llama.rope.freq_base': 500_000,
    ...more,
  }
  return llamaConfig(file, new Metadata('f.gguf', new Map(Object.entries(values))))
}

describe('the positions of a Llama in a GGUF file', () => {
  test('stretched as Llama 3.1 does it, from the factors that the file has in place of the numbers', async () => {
    const factors = Float32Array.from({ length: 32 }, (_, i) => {
      const wave = 2 * Math.PI * 500_000 ** (i / 32)
      if (wave < 8192 / 4) return 1
      if (wave > 8192) return 8
      const smooth = (8192 / wave - 1) / 3
      return 1 / ((1 - smooth) / 8 + smooth)
    })
    expect(new Set(factors).size).toBeGreaterThan(3)
    const config = await configOf(describedFile(factors))
    expect(config.rope_scaling).toEqual({
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    })
    expect(config).toMatchObject({ head_dim: 64, rms_norm_eps: 1e-5, rope_theta: 500_000, vocab_size: 32 })
    factors[20] *= 1.01
    await expect(configOf(describedFile(factors))).rejects.toThrow(
      'rope_freqs.weight are not those of Llama 3.1',
    )
  })

  test('stretched by a factor, or in a way that is not built', async () => {
    const scaling = (type: string) => ({
      'llama.rope.scaling.type': type,
      'llama.rope.scaling.factor': 2,
      'llama.rope.scaling.original_context_length': 2048,
    })
    expect((await configOf(describedFile())).rope_scaling).toBeNull()
    const linear = await configOf(describedFile(), scaling('linear'))
    expect(linear.rope_scaling).toEqual({ rope_type: 'linear', factor: 2 })
    const yarn = await configOf(describedFile(), scaling('yarn'))
    expect(yarn.rope_scaling).toMatchObject({ rope_type: 'yarn', original_max_position_embeddings: 2048 })
    await expect(configOf(describedFile(), scaling('longrope'))).rejects.toThrow(
      '"longrope", which is not built',
    )
    await expect(configOf(describedFile(), { 'llama.expert_count': 8 })).rejects.toThrow('mixture of experts')
    await expect(configOf(describedFile(), { 'llama.block_count': -1 })).rejects.toThrow('which is no size')
  })
})

interface TokenizerJson {
  model: { vocab: Record<string, number>; merges: [string, string][] }
  added_tokens: { id: number; content: string; special: boolean }[]
}

/** What llama.cpp's converter writes of a tokenizer. */
function metadataOf({ model, added_tokens }: TokenizerJson, more: Record<string, GgufValue>): Metadata {
  const tokens: string[] = []
  for (const [token, id] of Object.entries(model.vocab)) tokens[id] = token
  for (const { id, content } of added_tokens) tokens[id] = content
  const types: number[] = tokens.map((token) => (/^<0x..>$/.test(token) ? 6 : 1))
  for (const { id, special } of added_tokens) types[id] = special ? 3 : 4
  const values: Record<string, GgufValue> = {
    'tokenizer.ggml.tokens': tokens,
    'tokenizer.ggml.token_type': types,
    'tokenizer.ggml.merges': model.merges.map((pair) => pair.join(' ')),
    'tokenizer.ggml.scores': scoresOf(tokens, model.merges),
    ...more,
  }
  return new Metadata('test', new Map(Object.entries(values)))
}

/** SentencePiece scores a piece by the place of its merge. */
function scoresOf(tokens: string[], merges: [string, string][]): number[] {
  const place = new Map(merges.map(([a, b], i) => [a + b, -i]))
  return tokens.map((token) => place.get(token) ?? -1e6)
}

describe('the tokenizer of a GGUF file', () => {
  test.each<[string, Record<string, GgufValue>]>([
    ['llama-prepend', { 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.bos_token_id': 1 }],
    ['bytelevel-gpt2', { 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'gpt-2' }],
  ])('encodes as %s, from which it comes', async (name, more) => {
    const folder = goldens(`tokenizers/${name}`)
    const json = await readFile(join(folder, 'tokenizer.json'), 'utf8')
    const original = await PreTrainedTokenizer.fromFiles({ tokenizerJson: json })
    const made = await PreTrainedTokenizer.fromFiles(
      tokenizerFromGguf(metadataOf(JSON.parse(json) as TokenizerJson, more)),
    )
    const cases = await readFile(join(folder, 'cases.json'), 'utf8')
    const texts = [...cases.matchAll(/"text": ?("(?:[^"\\]|\\.)*")/g)].map(([, text]) => JSON.parse(text))
    expect(texts.length).toBeGreaterThan(20)
    for (const text of texts) {
      const ids = original(text).inputIds
      expect({ text, ids: made(text).inputIds }).toEqual({ text, ids })
      expect(made.decode(ids)).toBe(original.decode(ids))
    }
  })

  test('of a kind that is not built is an error that says so', () => {
    const metadata = (more: Record<string, GgufValue>) =>
      new Metadata('f.gguf', new Map(Object.entries({ 'tokenizer.ggml.tokens': ['a'], ...more })))
    expect(() => tokenizerFromGguf(metadata({ 'tokenizer.ggml.model': 'bert' }))).toThrow(
      '[gguf] f.gguf: its tokenizer "bert" is not read',
    )
    expect(() =>
      tokenizerFromGguf(metadata({ 'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'tekken' })),
    ).toThrow('splits texts by "tekken"')
    expect(() => tokenizerFromGguf(metadata({ 'tokenizer.ggml.model': 7 }))).toThrow('is no text')
  })
})
