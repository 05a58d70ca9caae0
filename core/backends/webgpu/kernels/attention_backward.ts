/**
 * The gradient of attention, with probabilities computed again from the saved log-sums (FlashAttention-2, Dao, 2023). dq has
 * a pass of its own over blocks of queries, dk and dv one over blocks of keys: no two workgroups write the same element,
 * so sums have a fixed order without atomics.
 */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import { type Dispatch, int, type LowerContext, type ParamWord } from '../dispatch.ts'
import { batchStep, maskTerm, optionalInputs } from './attention.ts'
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
import { bind, elementwise, flatSlice, scratchUse } from './call.ts'

export function lowerAttentionBackward(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [dOut, q, key, v, o, lse, ...rest] = k.inputs
  const [dq, dk, dv] = k.outputs
  const [B, Hq, Tq, D] = q.shape
  const [, Hkv, Tk] = key.shape
  const { mask, ...segments } = optionalInputs(k, rest)
  const step = batchStep([q, key, v, dOut, o, dk, ...(mask ? [mask] : [])], B, ctx)
  const out: Dispatch[] = []
  for (let b = 0; b < B; b += step) {
    const count = Math.min(step, B - b)
    const part = (x: CallOperand) => cutBatch(x, b, count)
    const sizes: Sizes = { B: count, Hq, Hkv, Tq, Tk, D }
    const rows = count * Hq * Tq
    const stats = ctx.scratch(Math.max(rows, 1) * 8)
    if (rows * D > 0)
      out.push(statistics(k.label, part(headsFirst(dOut)), part(headsFirst(o)), part(lse), stats, sizes, ctx))
    const inputs = {
      q: part(q),
      k: part(key),
      v: part(v),
      dOut: part(headsFirst(dOut)),
      ...(mask ? { mask: part(mask) } : {}),
      ...segments,
    }
    if (numel(dq.shape) > 0)
      out.push(
        queryGradient(
          k.label,
          bindOperands(k, ctx, sizes, b, { ...inputs, outQ: part(headsFirst(dq)) }),
          stats,
        ),
      )
    if (numel(dk.shape) > 0)
      out.push(
        keyGradients(
          k.label,
          bindOperands(k, ctx, sizes, b, {
            ...inputs,
            outK: part(headsFirst(dk)),
            outV: part(headsFirst(dv)),
          }),
          stats,
        ),
      )
  }
  return out
}

/** Scratch [rows, 2]: the log-sum of a query, and the sum of do * o over its channels. */
function statistics(
  label: string,
  dOut: CallOperand,
  o: CallOperand,
  lse: CallOperand,
  stats: number,
  { B, Hq, Tq, D }: Sizes,
  ctx: LowerContext,
): Dispatch {
  const rows = B * Hq * Tq
  const d = bind('dOut', dOut, ctx)
  const x = bind('o', o, ctx)
  const l = bind('lse', flatSlice(lse, 0, rows), ctx)
  const params: Record<string, ParamWord> = {
    Hq: int(Hq),
    Tq: int(Tq),
    D: int(D),
    dOutOffset: int(d.offset),
    oOffset: int(x.offset),
    lseOffset: int(l.offset),
  }
  return elementwise({
    key: 'attentionBackward.statistics',
    label: `${label} (do o)`,
    total: rows,
    params,
    buffers: [d.use, x.use, l.use, scratchUse('stats', stats, rows * 2, 'read_write')],
    body: () => `  let i = element % p.Tq;
  let h = (element / p.Tq) % p.Hq;
  let b = element / (p.Tq * p.Hq);
  let at = ((b * p.Tq + i) * p.Hq + h) * p.D;
  var sum = 0f;
  for (var d = 0; d < p.D; d++) { sum += dOut[p.dOutOffset + at + d] * o[p.oOffset + at + d]; }
  stats[element * 2] = lse[p.lseOffset + element];
  stats[element * 2 + 1] = sum;`,
  })
}

/**
 * Statements for a pair of blocks: from the scores `s` and `dp` = do v to the probabilities `pr` (kept ones, scaled) and
 * the scores' gradients `ds`. `at` gives query and key of one of the thread's columns.
 */
function gradientOfScores(a: AttentionOperands, at: (column: string) => [i: string, j: string]): string {
  const row = (column: string) => `((b * p.Hq + h) * p.Tq + ${at(column)[0]})`
  const keep = (column: string) => `keepFactor(${row(column)} + p.firstBatch * p.Hq * p.Tq, ${at(column)[1]})`
  return `${columnsFrom('start')}
    let logSums = ${perColumn((c) => `stats[${row(c)} * 2]`)};
    let deltas = ${perColumn((c) => `stats[${row(c)} * 2 + 1]`)};
    let logits = s * p.scale${maskTerm(a, at)};
    let none = !seen | areMinusInfinity(logSums) | areMinusInfinity(logits);
    let probabilities = select(exp(logits - logSums), vec4f(), none);
    let keep = ${a.attrs.dropout ? perColumn(keep) : 'vec4f(1)'};
    let pr = probabilities * keep;
    let ds = select(probabilities * (dp * keep - deltas) * p.scale, vec4f(), none);`
}

const bases = (names: readonly string[], head: string) =>
  names.map((n) => `  base_${n} = p.${n}Offset + b * p.${n}0 + (${head}) * p.${n}1;`).join('\n')

function queryGradient(label: string, a: AttentionOperands, stats: number): Dispatch {
  const { B, Hq, Tq, Tk, D } = a.sizes
  const blocks = Math.ceil(Tq / BLOCK)
  return {
    key: `attentionBackward.q.${traitsOf(a)}`,
    label: `${label} dq [${B},${Hq},${Tq},${D}] x ${Tk}`,
    params: { ...a.params, blocks: int(blocks) },
    buffers: [...usesOf(a), scratchUse('stats', stats, B * Hq * Tq * 2, 'read')],
    groups: B * Hq * blocks,
    shader: {
      workgroupSize: THREADS,
      declarations: () => declarations(a, { q: 'queries', dOut: 'queries', k: 'keys', v: 'keys' }),
      body: () => `  let block = group % p.blocks;
  let h = (group / p.blocks) % p.Hq;
  let b = group / (p.blocks * p.Hq);
  let r = lid / ${LANES};
  let c8 = lid % ${LANES};
  let first = block * ${BLOCK};
${bases(['q', 'dOut'], 'h')}
${bases(['k', 'v'], 'h / p.share')}
${findRange('keyRange', 'first')}
${declareSums('sums', D)}
  for (var start = range.x; start < range.y; start += ${BLOCK}) {
${product(a, 's', 'q', 'first', 'k', 'start')}
${product(a, 'dp', 'dOut', 'first', 'v', 'start')}
${gradientOfScores(a, (c) => ['min(first + r, p.Tq - 1)', c])}
${shareScores('ds')}
${addProducts(a, 'sums', 'k', 'start')}
  }
  if (first + r < p.Tq) {
    let base = p.outQOffset + b * p.outQ0 + h * p.outQ1 + (first + r) * p.outQ2;
${writeRow('sums', 'outQ', 'base', D, (x) => x)}
  }`,
    },
  }
}

function keyGradients(label: string, a: AttentionOperands, stats: number): Dispatch {
  const { B, Hq, Hkv, Tq, Tk, D } = a.sizes
  const blocks = Math.ceil(Tk / BLOCK)
  return {
    key: `attentionBackward.kv.${traitsOf(a)}`,
    label: `${label} dk dv [${B},${Hkv},${Tk},${D}] x ${Tq}`,
    params: { ...a.params, blocks: int(blocks) },
    buffers: [...usesOf(a), scratchUse('stats', stats, Math.max(1, B * Hq * Tq) * 2, 'read')],
    groups: B * Hkv * blocks,
    shader: {
      workgroupSize: THREADS,
      declarations: () => declarations(a, { q: 'queries', dOut: 'queries', k: 'keys', v: 'keys' }),
      body: () => `  let block = group % p.blocks;
  let kvHead = (group / p.blocks) % p.Hkv;
  let b = group / (p.blocks * p.Hkv);
  let r = lid / ${LANES};
  let c8 = lid % ${LANES};
  let first = block * ${BLOCK};
${bases(['k', 'v'], 'kvHead')}
${findRange('queryRange', 'first')}
${declareSums('sumsK', D)}
${declareSums('sumsV', D)}
  for (var member = 0; member < p.share; member++) {
    let h = kvHead * p.share + member;
  ${bases(['q', 'dOut'], 'h')}
    for (var start = range.x; start < range.y; start += ${BLOCK}) {
${product(a, 's', 'k', 'first', 'q', 'start')}
${product(a, 'dp', 'v', 'first', 'dOut', 'start')}
${gradientOfScores(a, (c) => [c, 'min(first + r, p.Tk - 1)'])}
${shareScores('pr')}
${addProducts(a, 'sumsV', 'dOut', 'start')}
${shareScores('ds')}
${addProducts(a, 'sumsK', 'q', 'start')}
    }
  }
  if (first + r < p.Tk) {
    let baseK = p.outKOffset + b * p.outK0 + kvHead * p.outK1 + (first + r) * p.outK2;
${writeRow('sumsK', 'outK', 'baseK', D, (x) => x)}
    let baseV = p.outVOffset + b * p.outV0 + kvHead * p.outV1 + (first + r) * p.outV2;
${writeRow('sumsV', 'outV', 'baseV', D, (x) => x)}
  }`,
    },
  }
}
