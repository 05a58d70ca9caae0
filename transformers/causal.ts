/** What models that predict the next token share. */
import { arange, isGradEnabled, type Tensor, where } from '../core/index.ts'
import { KVCache } from './cache.ts'
import { type CausalInputs, hostValues, inputSize, type LabelInputs } from './inputs.ts'
import { type Layout, layoutOf } from './layout.ts'

/** Token ids and layout of a call; with `useCache` a cache is made where none is given. */
export function causalLayout(model: string, inputs: CausalInputs): { ids: Tensor | null; layout: Layout } {
  const size = inputSize(model, inputs)
  if (inputs.useCache && isGradEnabled())
    throw new Error(`[${model}] no gradient flows through a cache: call it inside noGrad(() => ...)`)
  const pastKeyValues = inputs.pastKeyValues ?? (inputs.useCache ? new KVCache() : null)
  const layout = layoutOf(model, { ...inputs, pastKeyValues }, size)
  return { ids: size.ids, layout: startsWithPadding(layout) ? withDenseMask(layout) : layout }
}

/** Whether some row begins with padding, so that its first tokens see nothing; of no concern with a cache, where nobody asks. */
function startsWithPadding({ mask, cache, batch, tokens }: Layout): boolean {
  const values = mask && !cache ? hostValues(mask) : null
  return values ? Array.from({ length: batch }, (_, b) => values[b * tokens]).includes(0) : false
}

/** So low that any score added to it is lost, and far from overflow. */
const UNSEEN = -1e30

/**
 * The causal and the padding mask as numbers to add. A token that sees nothing then sees everything alike, as in transformers:
 * with left padding the loss asks the last padding token for the first real one, and gradients go that way too.
 */
function withDenseMask(layout: Layout): Layout {
  const { tokens } = layout
  const causal = arange(tokens).unsqueeze(0).le(arange(tokens).unsqueeze(1))
  const mask = where(layout.mask!.logicalAnd(causal), 0, UNSEEN) // [B, 1, T, T]
  return { ...layout, mask, denseMask: true }
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
