/** Runs score processors and warpers on the goldens' scores. */
import type { ModelFolder } from '../../hub/index.ts'
import type { LogitsProcessor } from '../../transformers/generation/processors.ts'
import * as rules from '../../transformers/generation/processors.ts'
import { probabilities } from '../../transformers/generation/scores.ts'
import * as warp from '../../transformers/generation/warpers.ts'
import { entries } from './folder.ts'
import { type GoldenFile, openGolden, type TensorRef } from './golden.ts'
import type { CaseResult } from './safetensors.ts'

interface ProcessorCase {
  name: string
  kind: 'processor'
  processors: Record<string, never>[]
  input_ids: TensorRef
  scores: TensorRef
  expected: TensorRef
  probabilities?: TensorRef
}

type Settings = {
  eos_token_id: number | number[]
  min_tokens_to_keep?: number
  prompt_length: number
  max_length: number
  begin_index: number
  input_ids_seq_length: number
}

/** Which processor a setting names, and what else of the entry it takes. */
const MAKERS: Record<string, (value: never, s: Settings) => LogitsProcessor> = {
  temperature: (t: number) => warp.temperature(t),
  top_k: (k: number, s) => warp.topK(k, s.min_tokens_to_keep),
  top_p: (p: number, s) => warp.topP(p, s.min_tokens_to_keep),
  min_p: (p: number, s) => warp.minP(p, s.min_tokens_to_keep),
  typical_p: (p: number, s) => warp.typicalP(p, s.min_tokens_to_keep),
  epsilon_cutoff: (e: number, s) => warp.epsilonCutoff(e, s.min_tokens_to_keep),
  eta_cutoff: (e: number, s) => warp.etaCutoff(e, s.min_tokens_to_keep),
  repetition_penalty: (p: number) => rules.repetitionPenalty(p),
  no_repeat_ngram_size: (n: number) => rules.noRepeatNgram(n),
  bad_words_ids: (words: number[][], s) => rules.badWords(words, rules.asList(s.eos_token_id)),
  min_length: (n: number, s) => rules.minLength(n, rules.asList(s.eos_token_id)),
  min_new_tokens: (n: number, s) => rules.minLength(s.prompt_length + n, rules.asList(s.eos_token_id)),
  forced_bos_token_id: (id: number) => rules.forcedBos(id),
  forced_eos_token_id: (id: number | number[], s) => rules.forcedEos(s.max_length, rules.asList(id)),
  suppress_tokens: (ids: number[]) => rules.suppressTokens(ids),
  begin_suppress_tokens: (ids: number[], s) => rules.beginSuppress(ids, s.begin_index),
  exponential_decay_length_penalty: ([start, factor]: [number, number], s) =>
    rules.exponentialDecay(start + s.input_ids_seq_length, factor, rules.asList(s.eos_token_id)),
  sequence_bias: (biases: [number[], number][]) => rules.sequenceBias(biases),
  remove_invalid_values: () => rules.removeInvalidValues,
}

/** Scores are float32 and shifted at most by a product: the goldens' tolerance for logits. */
const TOLERANCE = 2e-5

const far = (got: number, expected: number): boolean =>
  !Object.is(got, expected) && !(Math.abs(got - expected) <= TOLERANCE * (1 + Math.abs(expected)))

function firstDifference(got: ArrayLike<number>, expected: ArrayLike<number>): string | null {
  for (let i = 0; i < expected.length; i++)
    if (got[i] !== expected[i] && far(got[i], expected[i]))
      return `element ${i}: ${got[i]}, expected ${expected[i]}`
  return null
}

function runCase(golden: GoldenFile, c: ProcessorCase): CaseResult | null {
  const processors: LogitsProcessor[] = []
  for (const entry of c.processors) {
    const name = Object.keys(entry).find((k) => k in MAKERS)
    if (!name) return { case: c.name, status: 'skipped', reason: `no processor for ${Object.keys(entry)}` }
    processors.push(MAKERS[name](entry[name], entry as unknown as Settings))
  }
  const [rows, vocab] = c.scores.shape
  const ids = golden.numbers(c.input_ids)
  const width = c.input_ids.shape[1]
  const scores = Float32Array.from(golden.numbers(c.scores))
  const expected = golden.numbers(c.expected)
  const wanted = c.probabilities ? golden.numbers(c.probabilities) : null
  for (let r = 0; r < rows; r++) {
    const row = scores.subarray(r * vocab, (r + 1) * vocab)
    const step = { ids: Array.from(ids.slice(r * width, (r + 1) * width)), padding: 0 }
    for (const process of processors) process(row, step)
    const at = [r * vocab, (r + 1) * vocab] as const
    const wrong =
      firstDifference(row, expected.slice(...at)) ??
      (wanted && firstDifference(probabilities(row), wanted.slice(...at)))
    if (wrong) return { case: c.name, status: 'failed', reason: `row ${r}, ${wrong}` }
  }
  return null
}

export async function* runGeneration(folder: ModelFolder): AsyncIterable<CaseResult> {
  for (const file of (await entries(folder)).filter((f) => f.endsWith('.json'))) {
    const golden = await openGolden(folder, file)
    for (const c of golden.json.cases as ProcessorCase[]) {
      const name = `${file.replace(/\.json$/, '')}/${c.name}`
      try {
        const result = runCase(golden, c)
        yield { case: name, status: result?.status ?? 'passed', reason: result?.reason }
      } catch (e) {
        yield { case: name, status: 'failed', reason: e instanceof Error ? e.message : String(e) }
      }
    }
  }
}
