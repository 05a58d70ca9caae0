/**
 * Attention after FlashAttention-2 (Dao, 2023): scores never reach memory; a block of queries keeps a running maximum and
 * sum while blocks of keys pass by.
 */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import type { Dispatch, LowerContext } from '../dispatch.ts'
import { bound, int } from '../dispatch.ts'
import {
  type AttentionOperands,
  addProducts,
  BLOCK,
  bindOperands,
  columnsFrom,
  cutBatch,
  declarations,
  declareSums,
  findRange,
  headsFirst,
  LANES,
  perColumn,
  product,
  type Sizes,
  shareScores,
  THREADS,
  traitsOf,
  usesOf,
  writeRow,
} from './attention_tiles.ts'
import { bytesOf } from './call.ts'

/** Batches that bind at once. */
export function batchStep(operands: readonly CallOperand[], B: number, ctx: LowerContext): number {
  const largest = Math.max(...operands.map(bytesOf))
  if (largest <= ctx.limits.maxBindingBytes) return B
  return Math.max(1, Math.floor(B / Math.ceil(largest / (ctx.limits.maxBindingBytes - 256))))
}

/** mask and cuSeqlens where the call has them, in the order of its inputs. */
export function optionalInputs(k: CallKernel, rest: readonly CallOperand[]): Record<string, CallOperand> {
  const left = [...rest]
  const out: Record<string, CallOperand> = {}
  for (const [attr, name] of [
    ['mask', 'mask'],
    ['packed', 'cuSeqlens'],
  ])
    if (k.attrs[attr]) out[name] = left.shift() as CallOperand
  return out
}

export function lowerAttention(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [q, key, v, ...rest] = k.inputs
  const [B, Hq, Tq, D] = q.shape
  const [, Hkv, Tk] = key.shape
  const [o, lse] = k.outputs
  if (numel(lse.shape) === 0) return []
  const { mask, ...segments } = optionalInputs(k, rest)
  const step = batchStep([q, key, v, o, ...(mask ? [mask] : [])], B, ctx)
  const out: Dispatch[] = []
  for (let b = 0; b < B; b += step) {
    const count = Math.min(step, B - b)
    const part = (x: CallOperand) => cutBatch(x, b, count)
    const sizes: Sizes = { B: count, Hq, Hkv, Tq, Tk, D }
    const a = bindOperands(k, ctx, sizes, b, {
      q: part(q),
      k: part(key),
      v: part(v),
      ...(mask ? { mask: part(mask) } : {}),
      ...segments,
      out: part(headsFirst(o)),
      outLse: part(lse),
    })
    out.push(forward(k.label, a))
  }
  return out
}

/** What the mask adds to the scores of the thread's columns; `at` gives query and key of a column. */
export const maskTerm = (a: AttentionOperands, at: (column: string) => [i: string, j: string]): string => {
  if (!a.attrs.mask) return ''
  const read = (column: string) => {
    const [i, j] = at(column)
    return `mask[p.maskOffset + b * p.mask0 + h * p.mask1 + (${i}) * p.mask2 + (${j}) * p.mask3]`
  }
  return ` + ${perColumn(read)}`
}

function forward(label: string, a: AttentionOperands): Dispatch {
  const { B, Hq, Tq, Tk, D } = a.sizes
  const blocks = Math.ceil(Tq / BLOCK)
  return {
    key: `attention.${traitsOf(a)}`,
    label: `${label} [${B},${Hq},${Tq},${D}] x ${Tk}`,
    params: { ...a.params, blocks: int(blocks) },
    buffers: usesOf(a),
    groups: B * Hq * blocks,
    shader: {
      workgroupSize: THREADS,
      declarations: () => `var<workgroup> perThread: array<f32, ${THREADS}>;
${declarations(a, { q: 'queries', k: 'keys', v: 'keys' })}`,
      body: () => `  let block = group % p.blocks;
  let h = (group / p.blocks) % p.Hq;
  let b = group / (p.blocks * p.Hq);
  let r = lid / ${LANES};
  let c8 = lid % ${LANES};
  let first = block * ${BLOCK};
  let i = first + r;
  base_q = p.qOffset + b * p.q0 + h * p.q1;
  base_k = p.kOffset + b * p.k0 + (h / p.share) * p.k1;
  base_v = p.vOffset + b * p.v0 + (h / p.share) * p.v1;
${findRange('keyRange', 'first')}
  var most = -infinity();
  var sum = 0f;
${declareSums('sums', D)}
  for (var start = range.x; start < range.y; start += ${BLOCK}) {
${product(a, 's', 'q', 'first', 'k', 'start')}
${columnsFrom('start')}
    s = select(vec4f(-infinity()), s * p.scale${maskTerm(a, (j) => ['min(i, p.Tq - 1)', j])}, seen);
    perThread[lid] = max(max(s.x, s.y), max(s.z, s.w));
    workgroupBarrier();
    var larger = most;
    for (var n = 0; n < ${bound(LANES, a.limits)}; n++) { larger = max(larger, perThread[r * ${LANES} + n]); }
    let nothing = isMinusInfinity(larger);
    let rescale = select(select(exp(most - larger), 0f, isMinusInfinity(most)), 1f, nothing);
    most = larger;
    s = select(exp(s - most), vec4f(), areMinusInfinity(s));
    sum = sum * rescale + (s.x + s.y) + (s.z + s.w);
    ${
      a.attrs.dropout
        ? `let number = ((b + p.firstBatch) * p.Hq + h) * p.Tq + i;
    s *= ${perColumn((j) => `keepFactor(number, ${j})`)};`
        : ''
    }
${shareScores('s')}
${addProducts(a, 'sums', 'v', 'start', 'rescale')}
  }
  perThread[lid] = sum;
  workgroupBarrier();
  sum = 0f;
  for (var n = 0; n < ${bound(LANES, a.limits)}; n++) { sum += perThread[r * ${LANES} + n]; }
  if (i < p.Tq) {
    let none = sum == 0f;
    let base = p.outOffset + b * p.out0 + h * p.out1 + i * p.out2;
    let scale = select(1f / sum, 0f, none);
${writeRow('sums', 'out', 'base', D, (x) => `${x} * scale`)}
    if (c8 == 0) {
      outLse[p.outLseOffset + b * p.outLse0 + h * p.outLse1 + i * p.outLse2] = select(most + log(sum), -infinity(), none);
    }
  }`,
    },
  }
}
