/** What models that predict the next token share. */
import { isGradEnabled, type Tensor } from '../core/index.ts'
import { KVCache } from './cache.ts'
import { type CausalInputs, inputSize, type LabelInputs } from './inputs.ts'
import { type Layout, layoutOf } from './layout.ts'

/** Token ids and layout of a call; with `useCache` a cache is made where none is given. */
export function causalLayout(model: string, inputs: CausalInputs): { ids: Tensor | null; layout: Layout } {
  const size = inputSize(model, inputs)
  if (inputs.useCache && isGradEnabled())
    throw new Error(`[${model}] no gradient flows through a cache: call it inside noGrad(() => ...)`)
  const pastKeyValues = inputs.pastKeyValues ?? (inputs.useCache ? new KVCache() : null)
  return { ids: size.ids, layout: layoutOf(model, { ...inputs, pastKeyValues }, size) }
}

export interface KeepInputs {
  /** Compute the logits of the last so many tokens only; generation needs one. */
  logitsToKeep?: number | null
}

/** x [B, T, H] -> [B, logitsToKeep, H]. */
export function keptTokens(x: Tensor, inputs: KeepInputs & LabelInputs): Tensor {
  const keep = inputs.logitsToKeep
  if (!keep) return x
  if (inputs.labels) throw new Error('[logitsToKeep] and labels do not go together: a loss needs all logits')
  const tokens = x.shape[1]
  return x.narrow(1, Math.max(0, tokens - keep), Math.min(keep, tokens))
}
