/** Functions without state: PyTorch's `nn.functional`, usually imported as `F`. */
import {
  type AttentionOptions,
  arange,
  attention,
  layerNorm as coreLayerNorm,
  rmsNorm as coreRmsNorm,
  dropout as drop,
  type Generator,
  type Shape,
  type Tensor,
} from '../core/index.ts'
import { formatShape } from '../core/shape.ts'

export {
  embedding,
  gelu,
  linear,
  logSoftmax,
  relu,
  sigmoid,
  silu,
  softmax,
  softplus,
  tanh,
} from '../core/index.ts'
export {
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  crossEntropy,
  type LossOptions,
  mseLoss,
  nllLoss,
  type Reduction,
} from './losses.ts'

function checkShape(op: string, x: Tensor, normalizedShape: number | Shape): void {
  const shape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape
  if (shape.length !== 1)
    throw new RangeError(`[${op}] normalises the last dimension only, not shape ${formatShape(shape)}`)
  if (x.shape.at(-1) !== shape[0])
    throw new RangeError(
      `[${op}] the last dimension of ${formatShape(x.shape)} is not ${shape[0]}, the normalized shape`,
    )
}

/** Over the last dimension, with the biased variance. */
export function layerNorm(
  x: Tensor,
  normalizedShape: number | Shape,
  options: { weight?: Tensor | null; bias?: Tensor | null; eps?: number } = {},
): Tensor {
  checkShape('layerNorm', x, normalizedShape)
  return coreLayerNorm(x, options.weight ?? undefined, options.bias ?? undefined, options.eps)
}

/** Over the last dimension. `eps` is the smallest step of float32 unless given, as in PyTorch. */
export function rmsNorm(
  x: Tensor,
  normalizedShape: number | Shape,
  options: { weight?: Tensor | null; eps?: number } = {},
): Tensor {
  checkShape('rmsNorm', x, normalizedShape)
  return coreRmsNorm(x, options.weight ?? undefined, options.eps ?? 2 ** -23)
}

export interface DropoutOptions {
  p?: number
  training?: boolean
  generator?: Generator
}

/** While training, zeroes elements with probability p (0.5 unless given) and scales the others by 1 / (1 - p). */
export function dropout(x: Tensor, { p = 0.5, training = true, generator }: DropoutOptions = {}): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`[dropout] p ${p} is not a probability`)
  return training ? drop(x, p, { generator }) : x
}

export interface SdpaOptions {
  /** Added to the scores (float32), or true where attention is allowed (bool); broadcasts to [B, Hq, Tq, Tk]. */
  attnMask?: Tensor | null
  /** Probability of dropping an attention weight; pass 0 when not training. */
  dropoutP?: number
  /** Query i sees keys up to i; aligned at the end of the filled keys where `kvLength` is given, at the start without. */
  isCausal?: boolean
  /** Factor of the scores; 1 / sqrt(D) unless given. */
  scale?: number
  /** Let groups of query heads share a key/value head. */
  enableGqa?: boolean
  /** Packed sequences: boundaries int32 [S + 1] of the segments of one row. */
  cuSeqlens?: Tensor
  /** How many keys are filled, of a cache. */
  kvLength?: number
  generator?: Generator
}

/** Lower left triangle from the start: what PyTorch calls causal where there are more keys than queries. */
const causalFromStart = (tq: number, tk: number): Tensor =>
  arange(tk).unsqueeze(0).le(arange(tq).unsqueeze(1))

/**
 * softmax(q k^T * scale + mask) v as one kernel that never stores the scores. q: [B, Hq, Tq, D] and k, v: [B, Hkv, Tk, D],
 * or all without the batch dimension. Gives the shape of q.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: SdpaOptions = {},
): Tensor {
  const { enableGqa, attnMask, isCausal, ...rest } = options
  if (q.ndim === 3)
    return scaledDotProductAttention(q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0), options).squeeze(0)
  if (!enableGqa && q.shape[1] !== k.shape[1])
    throw new RangeError(
      `[scaledDotProductAttention] ${q.shape[1]} query heads and ${k.shape[1]} key heads: pass { enableGqa: true } to share them`,
    )
  const o: AttentionOptions = { ...rest, attnMask: attnMask ?? undefined, isCausal }
  if (isCausal && q.shape[2] !== k.shape[2] && options.kvLength === undefined) {
    if (attnMask)
      throw new Error(
        '[scaledDotProductAttention] isCausal with attnMask needs as many keys as queries, or kvLength',
      )
    o.isCausal = false
    o.attnMask = causalFromStart(q.shape[2], k.shape[2])
  }
  return attention(q, k, v, o)
}
