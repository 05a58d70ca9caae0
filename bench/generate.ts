/** Greedy decoding with SmolLM2-135M, prompts of 32 tokens. */
import {
  type BenchOptions,
  type BenchResult,
  integers,
  median,
  round,
  type Sample,
  sampled,
} from './bench.ts'
import { SMOLLM2, smolLm2 } from './models.ts'

const PROMPT = 32
/** Tokens of one sample, after the first. */
const TOKENS = 32

export interface GenerateCase {
  dtype: 'float32' | 'bfloat16'
  batch: number
}

const CASES: readonly GenerateCase[] = [
  { dtype: 'float32', batch: 1 },
  { dtype: 'bfloat16', batch: 1 },
  { dtype: 'float32', batch: 8 },
]

/** Each sample generates anew: tokens a second after the first token of each sequence. */
export async function prepare(options: BenchOptions & GenerateCase): Promise<() => Promise<Sample>> {
  const { dtype, batch } = options
  const model = await smolLm2(options, dtype)
  const next = integers(7)
  const prompts = Array.from({ length: batch }, () => Array.from({ length: PROMPT }, () => 100 + next(900)))
  const generate = async (maxNewTokens: number): Promise<number> => {
    const start = performance.now()
    const { newTokens } = await model.generate(prompts, { maxNewTokens, doSample: false, eosTokenId: null })
    if (newTokens !== maxNewTokens) throw new Error(`[bench] ${newTokens} tokens came, not ${maxNewTokens}`)
    return (performance.now() - start) / 1000
  }
  await generate(1)
  await generate(TOKENS)
  const bytes = weightBytes(dtype)
  return async () => {
    const prefill = await generate(1)
    const decode = (await generate(1 + TOKENS)) - prefill
    return {
      value: (batch * TOKENS) / decode,
      prefillSeconds: prefill,
      // every matrix is read once a step, whatever the batch
      weightsGBs: (bytes * TOKENS) / decode / 1e9,
    }
  }
}

/** Bytes of the matrices that a step reads: the tied table counts once, as the head. */
function weightBytes(dtype: GenerateCase['dtype']): number {
  const c = SMOLLM2
  const attention =
    c.hidden_size * (c.hidden_size * 2 + 2 * (c.hidden_size / c.num_attention_heads) * c.num_key_value_heads)
  const layer = attention + 3 * c.hidden_size * c.intermediate_size
  return (layer * c.num_hidden_layers + c.vocab_size * c.hidden_size) * (dtype === 'float32' ? 4 : 2)
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const detail: Record<string, unknown> = {
    promptTokens: PROMPT,
    weights: options.models ? 'real' : 'random',
  }
  const values: number[] = []
  for (const one of CASES) {
    const samples = await sampled(await prepare({ ...options, ...one }), options.seconds / CASES.length)
    const of = (key: string) => round(median(samples.map((s) => s[key] as number)))
    const name = one.batch === 1 ? one.dtype : `${one.dtype}, batch of ${one.batch}`
    values.push(of('value'))
    detail[`${name}, tokens/s`] = of('value')
    detail[`${name}, prefill s`] = of('prefillSeconds')
    detail[`${name}, GB/s of weights`] = of('weightsGBs')
  }
  return { value: values[0], unit: 'tokens/s', detail }
}
