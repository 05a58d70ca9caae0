/** Cases of the attention kernels: each runs forward, then backward on its results. */
import type { KernelScalar } from '../../core/plan/kernel.ts'
import { numel } from '../../core/shape.ts'
import { expandView, permuteView, sliceView } from '../../core/view.ts'
import { type KernelCase, type PlanTensor, RandomPlan, viewed } from './kernel-plan.ts'

interface AttentionSpec {
  readonly B: number
  readonly Hq: number
  readonly Hkv: number
  readonly Tq: number
  readonly Tk: number
  readonly D: number
  readonly causal?: boolean
  /** How the mask varies: over keys of each batch row, or over everything. */
  readonly mask?: 'padding' | 'full'
  readonly cuSeqlens?: readonly number[]
  readonly dropout?: number
  readonly kvLength?: number
  /** q, k and v as slices of one [B, T, 3, H, D] tensor, or with the heads before the tokens. */
  readonly layout?: 'fused' | 'headsFirst'
  readonly special?: boolean
}

/** [B, H, T, D] views of memory in the layout [B, T, H, D] that a linear layer gives, or another. */
function qkv(b: RandomPlan, s: AttentionSpec): PlanTensor[] {
  const { B, Hq, Hkv, Tq, Tk, D } = s
  if (s.layout === 'fused') {
    const all = b.floats([B, Tq, 3 * Hq, D])
    return [0, 1, 2].map((i) => viewed(all, (v) => permuteView(sliceView(v, 2, i * Hq, 1, Hq), [0, 2, 1, 3])))
  }
  const heads = (H: number, T: number, filled: number) => {
    const shape = s.layout === 'headsFirst' ? [B, H, T, D] : [B, T, H, D]
    const perToken = s.layout === 'headsFirst' ? D : H * D
    // NaN where a cache is not filled yet: it must not get into any sum
    const data = b.random
      .floats(numel(shape))
      .map((x, i) => (Math.floor(i / perToken) % T < filled ? x : NaN))
    const t = b.input('float32', shape, data)
    return s.layout === 'headsFirst' ? t : viewed(t, (v) => permuteView(v, [0, 2, 1, 3]))
  }
  const filled = s.kvLength ?? Tk
  return [heads(Hq, Tq, Tq), heads(Hkv, Tk, filled), heads(Hkv, Tk, filled)]
}

function maskOf(b: RandomPlan, s: AttentionSpec): PlanTensor[] {
  const shape = [s.B, s.Hq, s.Tq, s.Tk]
  if (s.mask === 'full') return [b.floats(shape)]
  if (s.mask !== 'padding') return []
  // half of the keys of every second row are padding: the most negative number, as models write it, or -inf
  const least = s.special ? -Infinity : -3.4e38
  const values = Array.from({ length: s.B * s.Tk }, (_, i) =>
    Math.floor(i / s.Tk) % 2 === 1 && i % s.Tk >= s.Tk / 2 ? least : 0,
  )
  return [viewed(b.input('float32', [s.B, 1, 1, s.Tk], values), (v) => expandView(v, shape))]
}

function attentionCase(s: AttentionSpec, seed: number): KernelCase {
  const b = new RandomPlan(seed)
  const inputs = qkv(b, s)
  const optional = [
    ...maskOf(b, s),
    ...(s.cuSeqlens ? [b.input('int32', [s.cuSeqlens.length], s.cuSeqlens)] : []),
  ]
  const attrs = {
    causal: s.causal === true,
    mask: s.mask !== undefined,
    packed: s.cuSeqlens !== undefined,
    dropout: s.dropout !== undefined,
  }
  const scalars: KernelScalar[] = [b.scalar(1 / Math.sqrt(s.D)), b.scalar(s.kvLength ?? s.Tk, 'i32')]
  if (s.dropout !== undefined)
    scalars.push(b.scalar(s.dropout), ...[11, -22, 33, 0].map((w) => b.scalar(w, 'i32')))
  const o = b.output('float32', [s.B, s.Tq, s.Hq, s.D])
  const lse = b.output('float32', [s.B, s.Hq, s.Tq])
  b.call('attention', [...inputs, ...optional], [o, lse], attrs, scalars)
  const dOut = b.floats([s.B, s.Tq, s.Hq, s.D])
  const gradients = [
    b.output('float32', [s.B, s.Tq, s.Hq, s.D]),
    b.output('float32', [s.B, s.Tk, s.Hkv, s.D]),
    b.output('float32', [s.B, s.Tk, s.Hkv, s.D]),
  ]
  b.call('attentionBackward', [dOut, ...inputs, o, lse, ...optional], gradients, attrs, scalars)
  return b.build(`attention ${JSON.stringify(s)}`, { tolerance: 2e-5, special: s.special })
}

export function attentionCases(): KernelCase[] {
  const plain = { B: 2, Hq: 3, Hkv: 3, Tq: 7, Tk: 7, D: 8 }
  const grouped = { B: 2, Hq: 6, Hkv: 2, Tq: 9, Tk: 9, D: 16 }
  const packed = { B: 1, Hq: 2, Hkv: 2, Tq: 40, Tk: 40, D: 16, cuSeqlens: [0, 5, 6, 21, 40] }
  const both = { ...packed, Tq: 420, Tk: 420, cuSeqlens: [0, 0, 1, 8, 8, 17, 144, 272, 401, 401, 418] }
  const specs: AttentionSpec[] = [
    { B: 1, Hq: 1, Hkv: 1, Tq: 1, Tk: 1, D: 4 },
    plain,
    { ...plain, D: 5 },
    { ...plain, layout: 'fused' },
    { ...plain, layout: 'headsFirst' },
    { ...plain, causal: true },
    { ...plain, mask: 'padding' },
    { ...plain, mask: 'padding', special: true },
    { ...plain, mask: 'full', causal: true },
    { ...plain, dropout: 0.3 },
    { ...plain, dropout: 0.1, causal: true, mask: 'full' },
    { B: 1, Hq: 2, Hkv: 2, Tq: 65, Tk: 65, D: 32 },
    { B: 1, Hq: 2, Hkv: 2, Tq: 70, Tk: 70, D: 64, causal: true },
    { B: 1, Hq: 1, Hkv: 1, Tq: 130, Tk: 130, D: 32, mask: 'full', dropout: 0.5 },
    grouped,
    { ...grouped, causal: true, layout: 'headsFirst' },
    { ...grouped, mask: 'padding', dropout: 0.2 },
    // cross attention, and decoding with a cache of larger capacity than is filled
    { ...plain, Tk: 12 },
    { ...plain, Tq: 12, Tk: 5 },
    { ...grouped, Tq: 1, Tk: 32, kvLength: 20, causal: true, layout: 'headsFirst' },
    { ...grouped, Tq: 4, Tk: 70, kvLength: 67, causal: true },
    { ...grouped, Tq: 4, Tk: 32, kvLength: 18, mask: 'padding' },
    // causal with fewer keys than queries: the first queries see none
    { ...plain, Tq: 6, Tk: 4, causal: true, special: true },
    packed,
    { ...packed, causal: true },
    { ...packed, dropout: 0.25 },
    { ...packed, Hq: 4, Hkv: 2, causal: true, layout: 'headsFirst' },
    // tokens behind the last segment see nothing
    { ...packed, cuSeqlens: [0, 5, 6, 21, 33], special: true },
    { ...packed, Tq: 200, Tk: 200, D: 32, cuSeqlens: [0, 64, 65, 130, 200] },
    // on both sides of the length up to which the cpu gives a segment to one unit (128), and segments without a token
    { ...both, dropout: 0.2 },
    { ...both, Hq: 4, causal: true, D: 5 },
    { ...both, B: 2, mask: 'full', D: 8, special: true },
    { ...plain, Tq: 128, Tk: 128, D: 20, causal: true, dropout: 0.1 },
    { ...plain, Tq: 129, Tk: 129, D: 20, causal: true },
    { ...plain, Tq: 127, Tk: 131, D: 6 },
    { ...grouped, Tq: 33, Tk: 60, kvLength: 47, causal: true, dropout: 0.3 },
    { ...grouped, Tq: 40, Tk: 128, kvLength: 1, mask: 'padding' },
  ]
  return specs.map((s, i) => attentionCase(s, 300 + i))
}
