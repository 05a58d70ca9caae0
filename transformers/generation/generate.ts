/** Autoregressive generation: greedy choice and sampling, with a KV cache, left-padded batches, streaming and abort. */
import { defaultGenerator, type Generator, noGrad, Tensor, tensor } from '../../core/index.ts'
import { checkOptions, checkValues, type GenerationOptions } from './config.ts'
import { processorsFor } from './pipeline.ts'
import { asList, type LogitsProcessor } from './processors.ts'
import { best, draw, probabilities } from './scores.ts'
import type { Streamer } from './streamer.ts'

export interface GenerateOptions extends GenerationOptions {
  /** 1 for tokens, 0 for padding on the left; [B, T] like the prompts. */
  attentionMask?: Tensor | readonly (readonly number[])[]
  /** Rules of your own, after those that options ask for. */
  logitsProcessors?: readonly LogitsProcessor[]
  /** Keep the processed scores of every step. */
  outputScores?: boolean
  /** Receives tokens as they come; batches of one only. */
  streamer?: Streamer
  /** Ends generation after the current token; what there is is returned. */
  signal?: AbortSignal
  /** Randomness of sampling; `manualSeed` sets the default one. */
  generator?: Generator
}

export interface GenerateOutput {
  /** Prompt and continuation of each sequence; finished ones are filled with the padding token. */
  sequences: number[][]
  /** How many tokens were added to the longest sequence. */
  newTokens: number
  /** True when `signal` ended it. */
  aborted: boolean
  /** Processed scores by step and sequence, with `outputScores`. */
  scores?: Float32Array[][]
}

/** Keys and values of what was read so far. */
export interface DecoderCache {
  /** Positions filled. */
  readonly length: number
  /** Positions there is room for; grows in steps, so that decoding repeats one plan. */
  readonly capacity: number
}

/** What generation needs of a causal language model. */
export interface CausalModel {
  /** Longest sequence the positions allow, or Infinity. */
  readonly contextLength: number
  readonly vocabSize: number
  createCache(batch: number, capacity: number): DecoderCache
  /**
   * Scores of the token after each row: inputIds and positionIds int32 [B, T], attentionMask int32 [B, capacity] or null where
   * nothing is padded -> [B, vocabSize].
   */
  decode(inputs: {
    inputIds: Tensor
    positionIds: Tensor
    attentionMask: Tensor | null
    cache: DecoderCache
  }): Tensor
}

interface Sequence {
  readonly ids: number[]
  readonly padding: number
  finished: boolean
}

export async function toRows(
  prompts: Tensor | readonly number[] | readonly (readonly number[])[],
  name = 'inputIds',
): Promise<number[][]> {
  if (prompts instanceof Tensor) {
    if (prompts.ndim !== 2)
      throw new RangeError(`[generate] ${name} must have shape [B,T], not [${prompts.shape}]`)
    const flat = Array.from(await prompts.data())
    const [rows, width] = prompts.shape
    return Array.from({ length: rows }, (_, r) => flat.slice(r * width, (r + 1) * width))
  }
  if (prompts.length === 0 || typeof prompts[0] === 'number') return [[...(prompts as readonly number[])]]
  return (prompts as readonly (readonly number[])[]).map((row) => [...row])
}

/** Prompts as left-padded sequences of one length. */
function sequencesOf(rows: readonly number[][], mask: readonly (readonly number[])[] | null): Sequence[] {
  const width = rows[0].length
  if (width === 0)
    throw new RangeError('[generate] the prompt is empty: give at least one token, such as the bos token')
  return rows.map((ids, r) => {
    if (ids.length !== width)
      throw new RangeError(
        `[generate] prompts have ${width} and ${ids.length} tokens: pad them on the left and pass the attentionMask`,
      )
    const padding = mask ? mask[r].findIndex((m) => m !== 0) : 0
    if (padding < 0) throw new RangeError(`[generate] prompt ${r} is only padding`)
    if (mask?.[r].slice(padding).some((m) => m === 0))
      throw new RangeError(
        `[generate] prompt ${r} is padded on the right: generation needs padding on the left (paddingSide: 'left')`,
      )
    return { ids: [...ids], padding, finished: false }
  })
}

/** Where generation ends at the latest: the options' limit, and the model's context. */
function lengthLimit(options: GenerationOptions, prompt: number, context: number): number {
  if (prompt >= context)
    throw new RangeError(
      `[generate] the prompt has ${prompt} tokens, the model's context only ${context}: shorten it`,
    )
  const wanted =
    options.maxNewTokens !== undefined
      ? prompt + options.maxNewTokens
      : (options.maxLength ?? Math.max(20, prompt + 1))
  if (wanted <= prompt)
    throw new RangeError(
      `[generate] maxLength ${wanted} leaves no room after a prompt of ${prompt} tokens: raise it or give maxNewTokens`,
    )
  return Math.min(wanted, context)
}

const int32 = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
  tensor(Int32Array.from(values), [...shape])

/** A mask for the whole capacity: padding is out, everything after the prompt is in. */
function cacheMask(sequences: readonly Sequence[], capacity: number): Tensor | null {
  if (sequences.every((s) => s.padding === 0)) return null
  const mask = new Int32Array(sequences.length * capacity).fill(1)
  for (const [r, s] of sequences.entries()) mask.fill(0, r * capacity, r * capacity + s.padding)
  return tensor(mask, [sequences.length, capacity])
}

function choose(scores: Float32Array, options: GenerateOptions): number {
  if (!options.doSample) return best(scores)
  return draw(probabilities(scores), (options.generator ?? defaultGenerator).uniform())
}

/**
 * Continues prompts token by token. Defaults come from `options` alone: merge a model's generation config before.
 * @param prompts token ids [T], or [B][T] of one length (padded on the left, with `attentionMask`)
 * @throws for options that do not exist, make no sense, or are not built yet; for a prompt longer than the context
 */
export async function generate(
  model: CausalModel,
  prompts: Tensor | readonly number[] | readonly (readonly number[])[],
  options: GenerateOptions = {},
): Promise<GenerateOutput> {
  checkOptions(options)
  checkValues(options)
  const rows = await toRows(prompts)
  const repeat = options.numReturnSequences ?? 1
  const mask = options.attentionMask ? await toRows(options.attentionMask as Tensor, 'attentionMask') : null
  const sequences = sequencesOf(rows, mask).flatMap((s) =>
    Array.from({ length: repeat }, () => ({ ...s, ids: [...s.ids] })),
  )
  if (options.streamer && sequences.length > 1)
    throw new RangeError('[generate] a streamer takes one sequence: generate a batch without it')
  return noGrad(() => run(model, sequences, options))
}

async function run(
  model: CausalModel,
  sequences: Sequence[],
  options: GenerateOptions,
): Promise<GenerateOutput> {
  const prompt = sequences[0].ids.length
  const limit = lengthLimit(options, prompt, model.contextLength)
  const eos = asList(options.eosTokenId)
  const pad = options.padTokenId ?? eos[0] ?? 0
  const processors = [
    ...processorsFor(options, { promptLength: prompt, maxLength: limit }),
    ...(options.logitsProcessors ?? []),
  ]
  const cache = options.useCache === false ? null : model.createCache(sequences.length, limit)
  const kept: Float32Array[][] = []
  options.streamer?.put(sequences[0].ids)
  let length = prompt
  while (length < limit && !options.signal?.aborted && sequences.some((s) => !s.finished)) {
    const scores = await step(model, sequences, cache ?? model.createCache(sequences.length, limit))
    for (const [r, s] of sequences.entries()) {
      for (const process of processors) process(scores[r], s)
      const next = s.finished ? pad : choose(scores[r], options)
      s.ids.push(next)
      s.finished ||= eos.includes(next)
    }
    if (options.outputScores) kept.push(scores)
    length++
    options.streamer?.put([sequences[0].ids[length - 1]])
  }
  options.streamer?.end()
  return {
    sequences: sequences.map((s) => s.ids),
    newTokens: length - prompt,
    aborted: options.signal?.aborted ?? false,
    ...(options.outputScores ? { scores: kept } : {}),
  }
}

/** Reads what the cache lacks and gives a row of scores for each sequence. */
async function step(
  model: CausalModel,
  sequences: readonly Sequence[],
  cache: DecoderCache,
): Promise<Float32Array[]> {
  const from = cache.length
  const batch = sequences.length
  const fresh = sequences[0].ids.length - from
  const ids = sequences.flatMap((s) => s.ids.slice(from))
  // padding has no position; the first real token has 0
  const positions = sequences.flatMap((s) =>
    Array.from({ length: fresh }, (_, i) => Math.max(0, from + i - s.padding)),
  )
  const logits = model.decode({
    inputIds: int32(ids, [batch, fresh]),
    positionIds: int32(positions, [batch, fresh]),
    attentionMask: cacheMask(sequences, cache.capacity),
    cache,
  })
  const data = (await logits.data()) as Float32Array
  const width = data.length / batch
  return sequences.map((_, r) => data.slice(r * width, (r + 1) * width))
}
