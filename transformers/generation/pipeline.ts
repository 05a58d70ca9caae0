/** The processors that a set of options asks for, in transformers' order. */
import type { GenerationOptions } from './config.ts'
import type { LogitsProcessor } from './processors.ts'
import * as rules from './processors.ts'
import * as warp from './warpers.ts'

export interface PipelineContext {
  /** Tokens of the prompt, padding included. */
  promptLength: number
  /** Where generation ends at the latest, in all. */
  maxLength: number
}

/** Asks for an end-of-sequence id where a setting needs one. */
function eosFor(options: GenerationOptions, setting: string): readonly number[] {
  const eos = rules.asList(options.eosTokenId)
  if (eos.length === 0) throw new Error(`[generate] ${setting} needs an eosTokenId`)
  return eos
}

export function processorsFor(
  o: GenerationOptions,
  { promptLength, maxLength }: PipelineContext,
): LogitsProcessor[] {
  const list: LogitsProcessor[] = []
  const eos = rules.asList(o.eosTokenId)
  if (o.sequenceBias) list.push(rules.sequenceBias(o.sequenceBias))
  if (o.repetitionPenalty !== undefined && o.repetitionPenalty !== 1)
    list.push(rules.repetitionPenalty(o.repetitionPenalty))
  if (o.noRepeatNgramSize) list.push(rules.noRepeatNgram(o.noRepeatNgramSize))
  if (o.badWordsIds) list.push(rules.badWords(o.badWordsIds, eos))
  // without an end-of-sequence token there is no end to hold back
  if (o.minLength && eos.length) list.push(rules.minLength(o.minLength, eos))
  if (o.minNewTokens && eos.length) list.push(rules.minLength(promptLength + o.minNewTokens, eos))
  if (o.forcedBosTokenId !== undefined) list.push(rules.forcedBos(o.forcedBosTokenId))
  if (o.forcedEosTokenId !== undefined)
    list.push(rules.forcedEos(maxLength, rules.asList(o.forcedEosTokenId)))
  if (o.removeInvalidValues) list.push(rules.removeInvalidValues)
  if (o.exponentialDecayLengthPenalty) {
    const [start, factor] = o.exponentialDecayLengthPenalty
    list.push(
      rules.exponentialDecay(promptLength + start, factor, eosFor(o, 'exponentialDecayLengthPenalty')),
    )
  }
  if (o.suppressTokens) list.push(rules.suppressTokens(o.suppressTokens))
  if (o.beginSuppressTokens) {
    const begin = promptLength > 1 || o.forcedBosTokenId === undefined ? promptLength : promptLength + 1
    list.push(rules.beginSuppress(o.beginSuppressTokens, begin))
  }
  if (o.doSample) list.push(...warpersFor(o))
  if (o.renormalizeLogits) list.push(warp.renormalize)
  return list
}

function warpersFor(o: GenerationOptions): LogitsProcessor[] {
  const list: LogitsProcessor[] = []
  if (o.temperature !== undefined && o.temperature !== 1) list.push(warp.temperature(o.temperature))
  if (o.topK) list.push(warp.topK(o.topK))
  if (o.topP !== undefined && o.topP < 1) list.push(warp.topP(o.topP))
  if (o.minP !== undefined) list.push(warp.minP(o.minP))
  if (o.typicalP !== undefined && o.typicalP < 1) list.push(warp.typicalP(o.typicalP))
  if (o.epsilonCutoff) list.push(warp.epsilonCutoff(o.epsilonCutoff))
  if (o.etaCutoff) list.push(warp.etaCutoff(o.etaCutoff))
  return list
}
