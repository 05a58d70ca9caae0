/** Another number of tokens, after `tokenizer.addTokens`: rows of the embedding, and of the layer that predicts tokens. */
import { cat, noGrad, type Tensor, zeros } from '../core/index.ts'
import { type AnyModule, Embedding, Linear, Parameter } from '../nn/index.ts'
import type { PretrainedConfig } from './config.ts'

/** What models call the embedding of their tokens, and the layer with a row for each token. */
const EMBEDDING = /(^|\.)(word_embeddings|wte|embed_tokens)$/
const PREDICTION = /(^|\.)(lm_head|decoder)$/

/**
 * Gives a model `size` tokens. New rows are the mean of the old ones, so that the new tokens are predicted neither often nor
 * never (as transformers does it, but for its noise); their bias is the mean too. Tied weights stay tied. Optimizers must be
 * made afterwards.
 *
 * @returns the embedding, with weights `[size, hidden_size]`
 * @throws where the model has no embedding of tokens, or `size` is no whole number above 0
 */
export function resizeTokenEmbeddings(
  model: { readonly config: PretrainedConfig; namedModules(): Iterable<[string, AnyModule]> },
  size: number,
): Embedding {
  if (!Number.isInteger(size) || size < 1)
    throw new RangeError(`[resizeTokenEmbeddings] the size must be a whole number above 0, not ${size}`)
  const config = model.config as PretrainedConfig & { vocab_size: number }
  const rows = config.vocab_size
  const named = [...model.namedModules()]
  const found = named.find(([name, module]) => module instanceof Embedding && EMBEDDING.test(name))
  if (!found) throw new Error(`[resizeTokenEmbeddings] ${model.constructor.name} has no embedding of tokens`)
  const embedding = found[1] as Embedding
  const replaced = new Map<Parameter, Parameter>()
  const replace = (old: Parameter | null) => {
    if (old && old.shape[0] === rows && !replaced.has(old)) replaced.set(old, resized(old, size))
  }
  replace(embedding.weight)
  for (const [name, module] of named) {
    if (!(module instanceof Linear) || !PREDICTION.test(name)) continue
    replace(module.weight)
    replace(module.bias)
  }
  for (const [, module] of named) {
    for (const [field, value] of Object.entries(module)) {
      const other = value instanceof Parameter ? replaced.get(value) : undefined
      if (other) Object.assign(module, { [field]: other })
    }
  }
  config.vocab_size = size
  return embedding
}

function resized(old: Parameter, size: number): Parameter {
  return noGrad(() => {
    const [rows, ...rest] = old.shape
    const more = size - rows
    let values: Tensor = old.detach()
    if (more > 0) {
      const fresh = values.mean(0, { keepdim: true }).add(zeros([more, ...rest]))
      values = cat([values, fresh.to(old.dtype)], 0)
    } else values = values.narrow(0, 0, size)
    const made = new Parameter(values, { name: old.name, dtype: old.dtype as 'float32' })
    if (!old.requiresGrad) made.requiresGrad_(false)
    return made
  })
}
