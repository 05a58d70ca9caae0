/** Options of `generate`, under transformers' names in camelCase, with its defaults. */

export interface GenerationOptions {
  /** Tokens of prompt and continuation together; `maxNewTokens` goes before it. Default 20 in all. */
  maxLength?: number
  maxNewTokens?: number
  /** No end-of-sequence token below this many tokens in all. */
  minLength?: number
  minNewTokens?: number
  /** Ends a sequence; several are allowed, null means none. */
  eosTokenId?: number | number[] | null
  padTokenId?: number | null
  bosTokenId?: number | null
  /** Draw from the distribution; false takes the best token. */
  doSample?: boolean
  temperature?: number
  topK?: number
  topP?: number
  minP?: number
  typicalP?: number
  epsilonCutoff?: number
  etaCutoff?: number
  repetitionPenalty?: number
  noRepeatNgramSize?: number
  badWordsIds?: number[][]
  sequenceBias?: [number[], number][]
  suppressTokens?: number[]
  beginSuppressTokens?: number[]
  forcedBosTokenId?: number
  forcedEosTokenId?: number | number[]
  exponentialDecayLengthPenalty?: [number, number]
  removeInvalidValues?: boolean
  renormalizeLogits?: boolean
  /** Sequences for each prompt; more than one needs `doSample`. */
  numReturnSequences?: number
  useCache?: boolean
}

/** In `config.json` style, as `generation_config.json` and the goldens spell them. */
export type GenerationConfigJson = Readonly<Record<string, unknown>>

const KNOWN = {
  max_length: 'maxLength',
  max_new_tokens: 'maxNewTokens',
  min_length: 'minLength',
  min_new_tokens: 'minNewTokens',
  eos_token_id: 'eosTokenId',
  pad_token_id: 'padTokenId',
  bos_token_id: 'bosTokenId',
  do_sample: 'doSample',
  temperature: 'temperature',
  top_k: 'topK',
  top_p: 'topP',
  min_p: 'minP',
  typical_p: 'typicalP',
  epsilon_cutoff: 'epsilonCutoff',
  eta_cutoff: 'etaCutoff',
  repetition_penalty: 'repetitionPenalty',
  no_repeat_ngram_size: 'noRepeatNgramSize',
  bad_words_ids: 'badWordsIds',
  sequence_bias: 'sequenceBias',
  suppress_tokens: 'suppressTokens',
  begin_suppress_tokens: 'beginSuppressTokens',
  forced_bos_token_id: 'forcedBosTokenId',
  forced_eos_token_id: 'forcedEosTokenId',
  exponential_decay_length_penalty: 'exponentialDecayLengthPenalty',
  remove_invalid_values: 'removeInvalidValues',
  renormalize_logits: 'renormalizeLogits',
  num_return_sequences: 'numReturnSequences',
  use_cache: 'useCache',
} as const satisfies Record<string, keyof GenerationOptions>

/** Settings of generation that are not built yet, with the value that means "off". Anything else throws. */
const NOT_BUILT: Readonly<Record<string, readonly unknown[]>> = {
  num_beams: [1],
  num_beam_groups: [1],
  diversity_penalty: [0],
  length_penalty: [1],
  early_stopping: [false],
  penalty_alpha: [],
  guidance_scale: [1],
  encoder_repetition_penalty: [1],
  encoder_no_repeat_ngram_size: [0],
  top_h: [],
  watermarking_config: [],
  stop_strings: [],
  max_time: [],
  force_words_ids: [],
  constraints: [],
  prompt_lookup_num_tokens: [],
  dola_layers: [],
  assistant_early_exit: [],
  cache_implementation: [],
  token_healing: [false],
}

/** Entries of `generation_config.json` that say nothing about the tokens to choose. */
const NEUTRAL = new Set([
  '_from_model_config',
  'transformers_version',
  'output_attentions',
  'output_hidden_states',
  'output_scores',
  'output_logits',
  'return_dict_in_generate',
  'decoder_start_token_id',
  'is_assistant',
  'remove_unused_columns',
])

/**
 * Options from `generation_config.json` style.
 * @throws for a setting that is on but not built yet, and for one that does not exist
 */
export function fromJson(json: GenerationConfigJson): GenerationOptions {
  const out: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(json)) {
    if (NEUTRAL.has(key)) continue
    if (key in KNOWN) {
      if (value !== null || key.endsWith('token_id')) out[KNOWN[key as keyof typeof KNOWN]] = value
    } else if (key in NOT_BUILT) {
      if (value !== null && value !== undefined && !NOT_BUILT[key].includes(value))
        throw new Error(`[generate] ${key} = ${JSON.stringify(value)} is not supported yet: leave it out`)
    } else throw new Error(`[generate] unknown setting "${key}" in the generation config`)
  }
  return out as GenerationOptions
}

const toSnake = (name: string): string => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`)

const CALL_OPTIONS = new Set<string>([
  ...Object.values(KNOWN),
  'signal',
  'streamer',
  'generator',
  'attentionMask',
  'logitsProcessors',
  'outputScores',
])

/** Throws for an option of `generate` that does not exist or is not built yet: none is silently ignored. */
export function checkOptions(options: object): void {
  for (const [key, value] of Object.entries(options)) {
    if (CALL_OPTIONS.has(key) || value === undefined) continue
    const off = NOT_BUILT[toSnake(key)]
    if (!off) throw new Error(`[generate] unknown option "${key}"`)
    if (value !== null && !off.includes(value))
      throw new Error(
        `[generate] option ${key} = ${JSON.stringify(value)} is not supported yet: leave it out`,
      )
  }
}

const range = (
  o: GenerationOptions,
  name: keyof GenerationOptions,
  ok: (x: number) => boolean,
  wanted: string,
): void => {
  const x = o[name]
  if (typeof x === 'number' && !ok(x)) throw new RangeError(`[generate] ${name} ${x} must be ${wanted}`)
}

/** Throws for values that make no sense. */
export function checkValues(o: GenerationOptions): void {
  range(o, 'temperature', (x) => x > 0, 'above 0: for greedy choice leave doSample out')
  range(o, 'topK', (x) => Number.isInteger(x) && x >= 0, 'a whole number from 0 (off)')
  for (const name of ['topP', 'minP'] as const) range(o, name, (x) => x >= 0 && x <= 1, 'between 0 and 1')
  for (const name of ['typicalP'] as const) range(o, name, (x) => x > 0 && x <= 1, 'above 0 and at most 1')
  for (const name of ['epsilonCutoff', 'etaCutoff'] as const)
    range(o, name, (x) => x >= 0 && x < 1, 'from 0 (off) to below 1')
  range(o, 'repetitionPenalty', (x) => x > 0, 'above 0')
  for (const name of ['maxNewTokens', 'maxLength', 'numReturnSequences'] as const)
    range(o, name, (x) => Number.isInteger(x) && x > 0, 'a positive whole number')
  for (const name of ['minLength', 'minNewTokens', 'noRepeatNgramSize'] as const)
    range(o, name, (x) => Number.isInteger(x) && x >= 0, 'a whole number from 0')
  if ((o.numReturnSequences ?? 1) > 1 && !o.doSample)
    throw new RangeError(
      '[generate] numReturnSequences above 1 needs doSample: greedy choice gives the same sequence again',
    )
}
