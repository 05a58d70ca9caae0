/** Greedy decoding with a Llama of SmolLM2-135M's shape, one sequence, prompt of 32 tokens. */
import { manualSeed } from '../core/index.ts'
import { LlamaConfig, LlamaForCausalLM } from '../transformers/models/llama.ts'
import { type BenchOptions, type BenchResult, round } from './bench.ts'

const PROMPT = 32
/** Tokens of the first measurement; a second one fills the time. */
const FIRST = 16

const SMOLLM2 = {
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
  eos_token_id: null,
}

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  manualSeed(0)
  const model = new LlamaForCausalLM(new LlamaConfig(SMOLLM2)).eval()
  const detail: Record<string, unknown> = { promptTokens: PROMPT }
  for (const dtype of ['float32', 'bfloat16'] as const) {
    if (dtype === 'bfloat16') await model.to(dtype)
    const { tokensPerSecond, prefillSeconds } = await measure(model, seconds / 2)
    detail[`${dtype}, tokens/s`] = round(tokensPerSecond)
    detail[`${dtype}, prefill s`] = round(prefillSeconds)
  }
  return { value: detail['float32, tokens/s'] as number, unit: 'tokens/s', detail }
}

async function measure(model: LlamaForCausalLM, seconds: number) {
  const prompt = Array.from({ length: PROMPT }, (_, i) => (i * 7919 + 13) % SMOLLM2.vocab_size)
  const decode = async (maxNewTokens: number) => {
    const times: number[] = []
    const start = performance.now()
    const streamer = { put: () => void times.push(performance.now()), end() {} }
    await model.generate([prompt], { maxNewTokens, doSample: false, eosTokenId: null, streamer })
    // the prompt comes first, then each token
    const prefillSeconds = (times[1] - start) / 1000
    return { prefillSeconds, tokensPerSecond: (times.length - 2) / ((times.at(-1)! - times[1]) / 1000) }
  }
  await decode(4)
  const { tokensPerSecond } = await decode(FIRST)
  return decode(Math.max(FIRST, Math.min(400, Math.round(tokensPerSecond * seconds))))
}
