import { beforeAll, describe, expect, it } from 'vitest'
import { manualSeed, setDefaultDevice } from '../../core/index.ts'
import { GPT2Config, GPT2LMHeadModel } from '../../transformers/models/gpt2.ts'
import type { TrainingArguments } from '../../transformers/trainer/arguments.ts'
import { decayGroups } from '../../transformers/trainer/groups.ts'
import { Trainer, type TrainingProgress } from '../../transformers/trainer/trainer.ts'
import { LABELS, sentences, tinyClassifier, tinyTokenizer } from '../helpers/tiny-models.ts'

beforeAll(async () => {
  await setDefaultDevice('cpu', { threads: 1 })
})

const TEXTS = sentences(16)

async function trained(args: TrainingArguments, texts = TEXTS) {
  const model = tinyClassifier(1, LABELS)
  const trainer = new Trainer({ model, tokenizer: await tinyTokenizer(), task: 'text-classification', args })
  const result = await trainer.train(texts)
  const weights = new Map<string, Float32Array>()
  for (const [name, p] of model.namedParameters()) weights.set(name, (await p.data()) as Float32Array)
  return { result, weights, trainer }
}

function largestDifference(a: Map<string, Float32Array>, b: Map<string, Float32Array>): number {
  let largest = 0
  for (const [name, values] of a)
    for (const [i, x] of values.entries()) largest = Math.max(largest, Math.abs(x - b.get(name)![i]))
  return largest
}

const BASE: TrainingArguments = { maxSteps: 4, lr: 1e-3, maxGradNorm: 1, seed: 5 }

describe('Trainer', () => {
  it('gives the same weights for one batch of 8 and for 4 batches of 2, whatever their lengths', async () => {
    const whole = await trained({ ...BASE, batchSize: 8 })
    const parts = await trained({ ...BASE, batchSize: 2, accumulate: 4 })
    expect(parts.result.losses.length).toBe(4)
    for (const [i, loss] of whole.result.losses.entries()) expect(parts.result.losses[i]).toBeCloseTo(loss, 5)
    // the gradient of the key bias is zero in exact arithmetic, and Adam makes steps of its rounding errors
    for (const name of [...whole.weights.keys()]) if (name.endsWith('key.bias')) whole.weights.delete(name)
    expect(largestDifference(whole.weights, parts.weights)).toBeLessThan(1e-5)
  })

  it('gives the same losses packed and padded, and pads only when asked to', async () => {
    const packed = await trained({ ...BASE, batchSize: 4 })
    const padded = await trained({ ...BASE, batchSize: 4, packing: false })
    for (const [i, loss] of packed.result.losses.entries())
      expect(padded.result.losses[i]).toBeCloseTo(loss, 5)
    expect(packed.result.paddingRatio).toBe(0)
    expect(padded.result.paddingRatio).toBeGreaterThan(0.1)
    expect(padded.result.tokens).toBe(packed.result.tokens)
  })

  it('counts every real token once an epoch, by number of texts and by tokens', async () => {
    const tokenizer = await tinyTokenizer()
    const expected = TEXTS.reduce((sum, { text }) => sum + tokenizer.encode(text).length, 0)
    const byTexts = await trained({ epochs: 1, batchSize: 5 })
    const byTokens = await trained({ epochs: 1, batchTokens: 40 })
    expect(byTexts.result).toMatchObject({ tokens: expected, steps: 4, epoch: 1 })
    expect(byTokens.result.tokens).toBe(expected)
    expect(byTokens.result.steps).toBeGreaterThanOrEqual(Math.ceil(expected / 40))
  })

  it('learns, and reports each step with its rate', async () => {
    const seen: TrainingProgress[] = []
    const model = tinyClassifier(2, LABELS)
    const trainer = new Trainer({
      model,
      tokenizer: await tinyTokenizer(),
      task: 'text-classification',
      args: { epochs: 8, batchSize: 16, lr: 1e-2, warmupRatio: 0.25, seed: 1 },
      onStep: (progress) => seen.push(progress),
    })
    const before = await trainer.evaluate(sentences(20, 9))
    const result = await trainer.train(sentences(128))
    const after = await trainer.evaluate(sentences(20, 9))
    expect(after.loss).toBeLessThan(before.loss)
    expect(after.accuracy).toBeGreaterThan(0.9)
    expect(after.macroF1).toBeGreaterThan(0.9)
    expect(seen.map(({ step }) => step)).toEqual(Array.from({ length: 64 }, (_, i) => i + 1))
    expect(seen[0].lr).toBe(0)
    expect(Math.max(...seen.map(({ lr }) => lr))).toBeCloseTo(1e-2, 12)
    expect(seen[63].lr).toBeCloseTo(1e-2 / 48, 12)
    expect(seen.map(({ loss }) => loss)).toEqual(result.losses)
    expect(result.finalLoss).toBe(result.losses[63])
  })

  it('ends after the step in which it is told to, and keeps what it has', async () => {
    const stop = new AbortController()
    const trainer = new Trainer({
      model: tinyClassifier(1, LABELS),
      tokenizer: await tinyTokenizer(),
      task: 'text-classification',
      args: { epochs: 50, batchSize: 4 },
      signal: stop.signal,
      onStep: ({ step }) => step === 3 && stop.abort(),
    })
    const result = await trainer.train(TEXTS)
    expect(result.interrupted).toBe(true)
    // losses are read up to two steps late
    expect(result.steps).toBeGreaterThanOrEqual(3)
    expect(result.steps).toBeLessThanOrEqual(6)
    expect(result.losses.length).toBe(result.steps)
  })

  it('refuses arguments and labels that make no sense', async () => {
    const options = {
      model: tinyClassifier(1, LABELS),
      tokenizer: await tinyTokenizer(),
      task: 'text-classification',
    } as const
    const make = (args: TrainingArguments) => () => new Trainer({ ...options, args })
    expect(make({ batchSize: 2, batchTokens: 9 })).toThrow('batchSize or batchTokens')
    expect(make({ lr: -1 })).toThrow('[Trainer] lr -1 must be at least 0')
    expect(make({ maxLength: 33 })).toThrow('over the 32 tokens')
    expect(make({ scheduler: 'step' as never })).toThrow('linear, cosine, constant')
    const trainer = new Trainer(options)
    await expect(trainer.train([{ text: 'a film', label: 'odd' }])).rejects.toThrow(
      'none of negative, positive',
    )
  })
})

describe('Trainer of a language model', () => {
  const BLOCKS = [
    {
      text: sentences(60)
        .map(({ text }) => text)
        .join(' '),
    },
  ]

  const NO_DROPOUT = { embd_pdrop: 0, attn_pdrop: 0, resid_pdrop: 0 }

  async function trainedWriter(args: TrainingArguments) {
    manualSeed(6)
    const model = new GPT2LMHeadModel(
      new GPT2Config({
        vocab_size: 22,
        n_positions: 32,
        n_embd: 16,
        n_layer: 1,
        n_head: 2,
        initializer_range: 0.2,
        ...NO_DROPOUT,
      }),
    )
    const trainer = new Trainer({
      model,
      tokenizer: await tinyTokenizer(),
      task: 'causal-lm',
      args: { maxSteps: 3, lr: 1e-2, maxLength: 12, ...args },
    })
    return { trainer, result: await trainer.train(BLOCKS) }
  }

  it('weighs every predicted token alike, however they are spread over batches', async () => {
    // the last block is shorter than the others, so a mean of means would differ
    const whole = await trainedWriter({ batchSize: 40 })
    const parts = await trainedWriter({ batchSize: 3, accumulate: 14 })
    const padded = await trainedWriter({ batchSize: 40, packing: false })
    for (const [i, loss] of whole.result.losses.entries()) {
      expect(parts.result.losses[i]).toBeCloseTo(loss, 4)
      expect(padded.result.losses[i]).toBeCloseTo(loss, 4)
    }
    expect(parts.result.steps).toBe(3)
    expect(padded.result.paddingRatio).toBeGreaterThan(0)
  })

  it('measures loss, perplexity and bits per byte on text', async () => {
    const { trainer } = await trainedWriter({ maxSteps: 30, batchSize: 8 })
    const { loss, perplexity, bitsPerByte } = await trainer.evaluate(BLOCKS)
    expect(loss).toBeLessThan(Math.log(22))
    expect(perplexity).toBeCloseTo(Math.exp(loss), 6)
    const tokens = BLOCKS[0].text.split(' ').length
    expect(bitsPerByte).toBeCloseTo((loss / Math.LN2) * (tokens / BLOCKS[0].text.length), 6)
  })
})

describe('decayGroups', () => {
  it('decays matrices and embeddings, not biases and norms, and leaves frozen weights out', () => {
    const model = tinyClassifier(1, LABELS)
    model.bert.embeddings.requiresGrad_(false)
    const names = new Map([...model.namedParameters()].map(([name, p]) => [p, name]))
    const [decayed, kept] = decayGroups(model, 0.01).map(({ params }) => params.map((p) => names.get(p)!))
    expect(decayed).toContain('bert.encoder.layer.0.attention.self.query.weight')
    expect(decayed).toContain('classifier.weight')
    expect(decayed.every((name) => name.endsWith('.weight') && !name.includes('LayerNorm'))).toBe(true)
    expect(kept).toContain('bert.encoder.layer.1.output.LayerNorm.weight')
    expect(kept).toContain('classifier.bias')
    expect(kept.every((name) => name.endsWith('bias') || name.includes('LayerNorm'))).toBe(true)
    const frozen = [...model.bert.embeddings.parameters()].length
    expect(decayed.length + kept.length).toBe(names.size - frozen)
  })
})
