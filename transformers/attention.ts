/** Multi-head attention as the models use it: one kernel, or plain ops where the probabilities are asked for. */
import { attention, attentionWithWeights, type Tensor } from '../core/index.ts'
import type { Layout } from './layout.ts'

export interface AttendOptions {
  isCausal: boolean
  scale: number
  dropoutP: number
  /** Give the probabilities too, at the price of storing them. */
  withWeights: boolean
}

/** [B, T, H * D] seen as [B, H, T, D]. */
export const splitHeads = (x: Tensor, heads: number): Tensor => {
  const [b, t, width] = x.shape
  return x.reshape([b, t, heads, width / heads]).permute([0, 2, 1, 3])
}

/**
 * q [B, Hq, T, D] over k and v [B, Hkv, keys, D]. Gives the heads side by side, [B, T, Hq * D], and the probabilities
 * [B, Hq, T, filled keys] or null.
 */
export function attend(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  layout: Layout,
  o: AttendOptions,
): { output: Tensor; weights: Tensor | null } {
  const [b, h, t, d] = q.shape
  const options = {
    attnMask: layout.mask ?? undefined,
    isCausal: o.isCausal && !layout.denseMask,
    scale: o.scale,
    dropoutP: o.dropoutP,
    cuSeqlens: layout.cuSeqlens ?? undefined,
    kvLength: layout.kvLength,
  }
  const join = (x: Tensor) => x.permute([0, 2, 1, 3]).reshape([b, t, h * d])
  if (!o.withWeights && !layout.denseMask) return { output: join(attention(q, k, v, options)), weights: null }
  const { output, weights } = attentionWithWeights(q, k, v, options)
  return {
    output: join(output),
    weights: o.withWeights ? weights.narrow(3, 0, layout.kvLength ?? k.shape[2]) : null,
  }
}
