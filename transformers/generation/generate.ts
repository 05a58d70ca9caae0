/** Autoregressive generation: greedy choice and sampling, with a KV cache, left-padded batches, streaming and abort. */
import { defaultGenerator, type Generator, Tensor } from '../../core/index.ts'
import { KVCache } from '../cache.ts'
import {
  checkOptions,
  checkValues,
  fromJson,
  type GenerationConfigJson,
  type GenerationOptions,
} from './config.ts'
import { Decoder, type Sequence } from './decoder.ts'
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

/** What generation needs of a causal language model: all of ours have it. */
export interface CausalModel {
  (inputs: {
    inputIds: Tensor
    positionIds: Tensor
    attentionMask: Tensor | null
    pastKeyValues: KVCache | null
    logitsToKeep: number
  }): { logits: Tensor }
  readonly config: { readonly max_position_embeddings?: number; readonly vocab_size: number } & EosAndPad
  readonly generationConfig: GenerationConfigJson | null
}

interface EosAndPad {
  readonly bos_token_id?: number | null
  readonly eos_token_id?: number | number[] | null
  readonly pad_token_id?: number | null
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

function choose(scores: Float32Array, options: GenerateOptions): number {
  if (!options.doSample) return best(scores)
  return draw(probabilities(scores), (options.generator ?? defaultGenerator).uniform())
}

/** The model's own settings, from `generation_config.json` or else its config, under those of the call. */
function withDefaults(model: CausalModel, options: GenerateOptions): GenerateOptions {
  const { bos_token_id, eos_token_id, pad_token_id } = model.config
  const own = fromJson(model.generationConfig ?? { bos_token_id, eos_token_id, pad_token_id })
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  return { ...own, ...given }
}

/**
 * Continues prompts token by token. Settings that `options` leaves out come from the model's generation config.
 * @param prompts token ids [T], or [B][T] of one length (padded on the left, with `attentionMask`)
 * @throws for options that do not exist, make no sense, or are not built yet; for a prompt longer than the context
 */
export async function generate(
  model: CausalModel,
  prompts: Tensor | readonly number[] | readonly (readonly number[])[],
  given: GenerateOptions = {},
): Promise<GenerateOutput> {
  checkOptions(given)
  const options = withDefaults(model, given)
  checkValues(options)
  const rows = await toRows(prompts)
  const repeat = options.numReturnSequences ?? 1
  const mask = options.attentionMask ? await toRows(options.attentionMask, 'attentionMask') : null
  const sequences = sequencesOf(rows, mask).flatMap((s) =>
    Array.from({ length: repeat }, () => ({ ...s, ids: [...s.ids] })),
  )
  if (options.streamer && sequences.length > 1)
    throw new RangeError('[generate] a streamer takes one sequence: generate a batch without it')
  return run(model, sequences, options)
}

async function run(
  model: CausalModel,
  sequences: Sequence[],
  options: GenerateOptions,
): Promise<GenerateOutput> {
  const prompt = sequences[0].ids.length
  const limit = lengthLimit(options, prompt, model.config.max_position_embeddings ?? Number.POSITIVE_INFINITY)
  const eos = asList(options.eosTokenId)
  const pad = options.padTokenId ?? eos[0] ?? 0
  const processors = [
    ...processorsFor(options, { promptLength: prompt, maxLength: limit }),
    ...(options.logitsProcessors ?? []),
  ]
  const cache = options.useCache === false ? null : new KVCache({ maxLength: limit })
  // where nobody looks at the scores, the best token is found where they are
  const greedy = !options.doSample && processors.length === 0 && !options.outputScores
  const decoder = new Decoder(model, cache, { greedy })
  const kept: Float32Array[][] = []
  options.streamer?.put(sequences[0].ids)
  let length = prompt
  try {
    while (length < limit && !options.signal?.aborted && sequences.some((s) => !s.finished)) {
      const result = await decoder.next(sequences)
      const width = result.length / sequences.length
      const rows = sequences.map((_, r) => result.subarray(r * width, (r + 1) * width) as Float32Array)
      for (const [r, s] of sequences.entries()) {
        for (const process of processors) process(rows[r], s)
        const next = s.finished ? pad : greedy ? result[r] : choose(rows[r], options)
        s.ids.push(next)
        s.finished ||= eos.includes(next)
      }
      if (options.outputScores) kept.push(rows)
      length++
      options.streamer?.put([sequences[0].ids[length - 1]])
    }
  } finally {
    decoder.dispose()
  }
  options.streamer?.end()
  return {
    sequences: sequences.map((s) => s.ids),
    newTokens: length - prompt,
    aborted: options.signal?.aborted ?? false,
    ...(options.outputScores ? { scores: kept } : {}),
  }
}
