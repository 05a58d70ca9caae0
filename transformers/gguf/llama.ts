/** Llama models in GGUF files, as llama.cpp's `convert_hf_to_gguf.py` writes them. */
import type { GgufFile } from '../../hub/index.ts'
import type { Metadata } from './metadata.ts'

/** How a tensor of the file becomes one of the checkpoint. */
export interface MappedTensor {
  /** Name in the GGUF file. */
  readonly source: string
  /** Heads whose rows were reordered for llama.cpp's rotary positions; null for rows in order. */
  readonly heads: number | null
}

const PARTS: Readonly<Record<string, string>> = {
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
}
const TOP: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
}
/** Factors of the positions, which the config says. */
const ROPE_FACTORS = 'rope_freqs.weight'

/** `config.json` of the model. @throws GgufError for what this library does not build */
export async function llamaConfig(file: GgufFile, metadata: Metadata): Promise<Record<string, unknown>> {
  const get = (key: string, fallback?: number) => metadata.count(`llama.${key}`, fallback)
  const number = (key: string, fallback?: number) => shortest(metadata.number(`llama.${key}`, fallback))
  const heads = get('attention.head_count')
  const hidden = get('embedding_length')
  const headDim = get('attention.key_length', get('rope.dimension_count', hidden / heads))
  if (metadata.number('llama.expert_count', 0) > 0)
    throw metadata.error('is a mixture of experts, which is not built')
  const theta = number('rope.freq_base', 10_000)
  return {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    vocab_size: file.info('token_embd.weight').shape[0],
    hidden_size: hidden,
    intermediate_size: get('feed_forward_length'),
    num_hidden_layers: get('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: get('attention.head_count_kv', heads),
    head_dim: headDim,
    hidden_act: 'silu',
    max_position_embeddings: get('context_length'),
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: theta,
    rope_scaling: await ropeScaling(file, metadata, theta, headDim),
    attention_bias: file.tensors.has('blk.0.attn_q.bias'),
    mlp_bias: file.tensors.has('blk.0.ffn_gate.bias'),
    tie_word_embeddings: !file.tensors.has('output.weight'),
    bos_token_id: metadata.optionalNumber('tokenizer.ggml.bos_token_id'),
    eos_token_id: metadata.optionalNumber('tokenizer.ggml.eos_token_id'),
    pad_token_id: metadata.optionalNumber('tokenizer.ggml.padding_token_id'),
  }
}

/** 1e-5, and not what is left of it in the file's float32. */
const shortest = (float32: number): number => Number(float32.toPrecision(7))

async function ropeScaling(
  file: GgufFile,
  metadata: Metadata,
  theta: number,
  headDim: number,
): Promise<Record<string, unknown> | null> {
  if (file.tensors.has(ROPE_FACTORS))
    return llama3Scaling(await file.readFloat32(ROPE_FACTORS), metadata, theta, headDim)
  const type = metadata.string('llama.rope.scaling.type', 'none')
  if (type === 'none') return null
  const factor = metadata.number('llama.rope.scaling.factor')
  if (type === 'linear') return { rope_type: 'linear', factor }
  if (type === 'yarn') {
    const original = metadata.number('llama.rope.scaling.original_context_length')
    return { rope_type: 'yarn', factor, original_max_position_embeddings: original }
  }
  throw metadata.error(`stretches positions by "${type}", which is not built`)
}

/**
 * Llama 3.1 models carry a factor for every rotary frequency in place of the four numbers that these come from. They are those
 * of Meta's models, of which only the largest factor differs, if they give the same factors.
 */
function llama3Scaling(
  factors: Float32Array,
  metadata: Metadata,
  theta: number,
  headDim: number,
): Record<string, unknown> {
  const [low, high, context] = [1, 4, 8192]
  const factor = Math.max(...factors)
  const isSame =
    factors.length === headDim / 2 &&
    factors.every((given, i) => {
      const wave = 2 * Math.PI * theta ** ((2 * i) / headDim)
      const smooth = (context / wave - low) / (high - low)
      const blended = 1 / ((1 - smooth) / factor + smooth)
      const wanted = wave < context / high ? 1 : wave > context / low ? factor : blended
      return Math.abs(given - wanted) <= 1e-4 * wanted
    })
  if (!isSame)
    throw metadata.error(`its ${ROPE_FACTORS} are not those of Llama 3.1 (factors 1 and 4, context 8192)`)
  return {
    rope_type: 'llama3',
    factor,
    low_freq_factor: low,
    high_freq_factor: high,
    original_max_position_embeddings: context,
  }
}

/** The tensors by their names in a checkpoint of transformers. @throws GgufError for one that a Llama has not */
export function llamaTensors(file: GgufFile, metadata: Metadata): Map<string, MappedTensor> {
  const heads = metadata.count('llama.attention.head_count')
  const keyHeads = metadata.count('llama.attention.head_count_kv', heads)
  const mapped = new Map<string, MappedTensor>()
  for (const source of file.tensors.keys()) {
    if (source === ROPE_FACTORS) continue
    const [, layer, part, kind] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(source) ?? []
    const names = layer === undefined ? TOP : PARTS
    if (part === undefined || !Object.hasOwn(names, part))
      throw metadata.error(`tensor "${source}" is not one of a Llama model`)
    const name = layer === undefined ? names[part] : `model.layers.${layer}.${names[part]}`
    const reordered = part === 'attn_q' ? heads : part === 'attn_k' ? keyHeads : null
    if (reordered !== null && file.info(source).shape[0] % (2 * reordered) !== 0)
      throw metadata.error(`tensor "${source}" has rows for no ${reordered} heads`)
    mapped.set(`${name}.${kind}`, { source, heads: reordered })
  }
  return mapped
}

/**
 * Puts the rows of a query or key projection back: llama.cpp rotates neighbours (2i, 2i + 1) of a head, transformers its
 * halves (i, i + D/2), and the converter moved the rows for that.
 *
 * @param values [heads * D, columns], or a bias [heads * D]
 */
export function unpermute(values: Float32Array, heads: number, columns: number): Float32Array {
  const half = values.length / columns / heads / 2
  const out = new Float32Array(values.length)
  for (let h = 0; h < heads; h++)
    for (let i = 0; i < half; i++)
      for (let side = 0; side < 2; side++) {
        const from = (h * 2 * half + 2 * i + side) * columns
        out.set(values.subarray(from, from + columns), (h * 2 * half + side * half + i) * columns)
      }
  return out
}
