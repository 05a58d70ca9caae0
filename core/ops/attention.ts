/** Attention as one kernel that never stores the matrix of probabilities, and the same in plain ops where they are asked for. */
import type { CallOp, GradContext } from '../op.ts'
import { defaultGenerator, type Generator } from '../random.ts'
import { formatShape } from '../shape.ts'
import { record, Tensor } from '../tensor.ts'
import { arange } from './create.ts'
import { matmul } from './matmul.ts'
import { softmax } from './normalize.ts'
import { expand, permute, reshape, transpose, unsqueeze } from './views.ts'

export interface AttentionOptions {
  /** Added to the scores (float32), or true where attention is allowed (bool); broadcasts to [B, Hq, Tq, Tk]. */
  attnMask?: Tensor
  /** Query i sees keys up to i, aligned at the end: j <= i + kvLength - Tq. */
  isCausal?: boolean
  /** Factor of the scores; 1 / sqrt(D) unless given. */
  scale?: number
  dropoutP?: number
  generator?: Generator
  /** Packed sequences: boundaries int32 [S + 1] of segments in one row (B = 1); nothing is attended across them. */
  cuSeqlens?: Tensor
  /** Keys from here on are not read (the filled part of a KV cache); all of them unless given. */
  kvLength?: number
}

const options = (c: GradContext) =>
  c.attrs as { causal: boolean; mask: boolean; packed: boolean; dropout: boolean }

const scalarTypes: CallOp['scalarTypes'] = (attrs) =>
  attrs.dropout ? ['f32', 'i32', 'f32', 'i32', 'i32', 'i32', 'i32'] : ['f32', 'i32']

const attentionBackwardOp: CallOp = {
  kind: 'call',
  name: 'attentionBackward',
  call: 'attentionBackward',
  unitStride: [1, 2, 3],
  strided: [6],
  scalarTypes,
}

const attentionOp: CallOp = {
  kind: 'call',
  name: 'attention',
  call: 'attention',
  unitStride: [0, 1, 2],
  strided: [3],
  scalarTypes,
  grad: (c) => {
    const { dy, inputs, outputs, attrs, scalars, needs } = c
    const [q, k, v, ...extra] = inputs
    const none = extra.map(() => null)
    const maskNeeded = options(c).mask && needs[3]
    if (c.createGraph || maskNeeded)
      throw new Error(
        '[attention] the kernel has no such gradient (of a gradient, or of the mask): use attentionWithWeights',
      )
    const heads = (t: Tensor) => [t.shape[0], t.shape[2], t.shape[1], t.shape[3]]
    const node = record(
      attentionBackwardOp,
      [dy, q, k, v, outputs[0], outputs[1], ...extra].map((t) => t.value),
      attrs,
      scalars,
      [q, k, v].map((t) => ({ shape: heads(t), dtype: 'float32' as const })),
    )
    return [...node.outputs.map((o) => permute(new Tensor(o), [0, 2, 1, 3])), ...none]
  },
}

/** A bool mask as numbers to add: 0 where attention is allowed, -inf elsewhere. */
const additive = (mask: Tensor): Tensor =>
  mask.dtype === 'bool' ? arange(1).float().where(mask, -Infinity) : mask

function check(q: Tensor, k: Tensor, v: Tensor, o: AttentionOptions): void {
  if (q.ndim !== 4 || k.ndim !== 4 || v.ndim !== 4)
    throw new RangeError(
      `[attention] q, k and v need shape [B,H,T,D], not ${[q, k, v].map((t) => formatShape(t.shape)).join(', ')}`,
    )
  const [b, hq, tq, d] = q.shape
  const [bk, hk, tk, dk] = k.shape
  if (bk !== b || dk !== d || v.shape[0] !== b || v.shape[1] !== hk || v.shape[2] !== tk || v.shape[3] !== d)
    throw new RangeError(
      `[attention] q ${formatShape(q.shape)}, k ${formatShape(k.shape)} and v ${formatShape(v.shape)} do not fit together`,
    )
  if (hq % hk !== 0)
    throw new RangeError(`[attention] ${hq} query heads are not a multiple of ${hk} key/value heads`)
  if (o.cuSeqlens && (b !== 1 || tq !== tk))
    throw new RangeError('[attention] packed sequences need B = 1 and as many keys as queries')
  if (o.cuSeqlens && o.cuSeqlens.dtype !== 'int32')
    throw new TypeError(`[attention] cuSeqlens must be int32, not ${o.cuSeqlens.dtype}`)
  if (o.kvLength !== undefined && (o.kvLength < 0 || o.kvLength > tk))
    throw new RangeError(`[attention] kvLength ${o.kvLength} is outside 0 to ${tk}`)
}

/**
 * softmax(q k^T * scale + mask) v without storing the scores (Dao et al. 2022). q: [B, Hq, Tq, D], k and v: [B, Hkv, Tk, D],
 * Hq a multiple of Hkv (query head h reads head floor(h / (Hq / Hkv))). Gives [B, Hq, Tq, D].
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, o: AttentionOptions = {}): Tensor {
  check(q, k, v, o)
  const [b, hq, tq, d] = q.shape
  const tk = k.shape[2]
  const mask = o.attnMask && expand(additive(o.attnMask), [b, hq, tq, tk])
  const p = o.dropoutP ?? 0
  const attrs = {
    causal: o.isCausal ?? false,
    mask: Boolean(mask),
    packed: Boolean(o.cuSeqlens),
    dropout: p > 0,
  }
  const scalars = [o.scale ?? 1 / Math.sqrt(d), o.kvLength ?? tk]
  if (p > 0) {
    const r = (o.generator ?? defaultGenerator).reserve(b * hq * tq * tk)
    scalars.push(p, r.key0, r.key1, r.counter0, r.counter1)
  }
  const inputs = [q, k, v, mask, o.cuSeqlens].filter((t) => t !== undefined)
  const node = record(
    attentionOp,
    inputs.map((t) => t.value),
    attrs,
    scalars,
    [
      { shape: [b, tq, hq, d], dtype: 'float32' },
      { shape: [b, hq, tq], dtype: 'float32' },
    ],
  )
  return permute(new Tensor(node.outputs[0]), [0, 2, 1, 3])
}

/** Which keys a query may see by position: causal, same segment, and filled; null where all. Bool, broadcasts to [B,H,Tq,Tk]. */
function visible(tq: number, tk: number, o: AttentionOptions): Tensor | null {
  const length = o.kvLength ?? tk
  const key = reshape(arange(tk), [1, tk])
  const query = reshape(arange(tq), [tq, 1])
  let seen: Tensor | null = length < tk ? key.lt(length) : null
  const also = (t: Tensor) => (seen = seen ? seen.logicalAnd(t) : t)
  if (o.isCausal) also(key.le(query.add(length - tq)))
  if (o.cuSeqlens) {
    const segment = segmentIds(o.cuSeqlens, tk)
    also(reshape(segment, [tq, 1]).eq(reshape(segment, [1, tk])))
  }
  return seen
}

/** The number of each position's segment: cuSeqlens [S + 1] -> int32 [T]. */
export function segmentIds(cuSeqlens: Tensor, total: number): Tensor {
  const ends = cuSeqlens.narrow(0, 1, cuSeqlens.shape[0] - 1)
  return unsqueeze(arange(total), 1).ge(unsqueeze(ends, 0)).int().sum(1)
}

/**
 * The same in plain ops, with the probabilities [B, Hq, Tq, Tk] (before dropout): for those who want to see them, and for
 * gradients of gradients.
 */
export function attentionWithWeights(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  o: AttentionOptions = {},
): { output: Tensor; weights: Tensor } {
  check(q, k, v, o)
  const [b, hq, tq, d] = q.shape
  const [, hk, tk] = k.shape
  // [B, Hkv, group, T, D]: heads of one group meet the same keys without copies
  const group = hq / hk
  const grouped = reshape(q, [b, hk, group, tq, d])
  const keys = transpose(unsqueeze(k, 2), -1, -2)
  let scores = reshape(matmul(grouped, keys), [b, hq, tq, tk]).mul(o.scale ?? 1 / Math.sqrt(d))
  if (o.attnMask) scores = scores.add(additive(o.attnMask))
  const seen = visible(tq, tk, o)
  if (seen) scores = scores.where(seen, -Infinity)
  const raw = softmax(scores, -1)
  // a row without any key is 0 rather than NaN
  const weights = raw.where(scores.amax(-1, { keepdim: true }).gt(-Infinity), 0)
  const p = o.dropoutP ?? 0
  const kept = p > 0 ? weights.dropout(p, { generator: o.generator }) : weights
  const output = matmul(reshape(kept, [b, hk, group, tq, tk]), unsqueeze(v, 2))
  return { output: reshape(output, [b, hq, tq, d]), weights }
}
