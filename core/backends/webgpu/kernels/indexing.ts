/** Kernels that read or write where an index says. */
import type { DType } from '../../../dtype.ts'
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import { type Dispatch, int, type LowerContext } from '../dispatch.ts'
import {
  bind,
  byRows,
  bytesOf,
  element,
  elementwise,
  flatSlice,
  output,
  rowSlice,
  rowsOf,
  scratchUse,
} from './call.ts'

/** What an index out of range gives. */
const missing = (dtype: DType): string => (dtype === 'int32' ? '0i' : dtype === 'bool' ? '0u' : 'quietNan()')

/** Rows of a table in one binding. */
const most = (rows: number, columns: number, ctx: LowerContext): number =>
  Math.max(1, Math.min(rows, Math.floor((ctx.limits.maxBindingBytes - 256) / Math.max(4, columns * 4))))

/**
 * Rows of a table. A table that does not bind whole is read in ranges of rows, each of which fills in the results that
 * point into it; the first also writes those that point nowhere.
 */
export function lowerGatherRows(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [table, ids] = k.inputs
  const [out] = k.outputs
  const { rows: V, columns: D } = rowsOf(table.shape)
  const N = numel(ids.shape)
  if (D === 0) return []
  const step = bytesOf(table) <= ctx.limits.maxBindingBytes ? Math.max(V, 1) : most(V, D, ctx)
  return byRows(N, D * 4, ctx, (start, count) => {
    const dispatches: Dispatch[] = []
    for (let v = 0; v === 0 || v < V; v += step) {
      const t = bind('table', rowSlice(table, D, v, Math.min(step, V - v)), ctx)
      const i = bind('ids', flatSlice(ids, start, count), ctx)
      const y = output('y', rowSlice(out, D, start, count), ctx)
      dispatches.push(
        elementwise({
          key: `gatherRows.${table.dtype}`,
          label: `${k.label} [${V},${D}] at ${count}`,
          total: count * D,
          params: {
            D: int(D),
            V: int(V),
            first: int(v),
            last: int(Math.min(v + step, V)),
            tableOffset: int(t.offset),
            idsOffset: int(i.offset),
            yOffset: int(y.offset),
          },
          buffers: [t.use, i.use, y.use],
          body: () => `  let d = element % p.D;
  let id = ids[p.idsOffset + element / p.D];
  let source = p.tableOffset + (id - p.first) * p.D + d;
  if (id >= p.first && id < p.last) { y[p.yOffset + element] = ${element(t, 'source')}; }
  else if (p.first == 0 && (id < 0 || id >= p.V)) { y[p.yOffset + element] = ${missing(table.dtype)}; }`,
        }),
      )
    }
    return dispatches
  })
}

/** Rows written where ids point; the others stay as they are. */
export function lowerPutRows(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [src, ids] = k.inputs
  const [out] = k.outputs
  const { rows: V, columns: D } = rowsOf(out.shape)
  const N = numel(ids.shape)
  if (D === 0 || N === 0) return []
  return byRows(N, D * 4, ctx, (start, count) => {
    const s = bind('src', rowSlice(src, D, start, count), ctx)
    const i = bind('ids', flatSlice(ids, start, count), ctx)
    return byRows(V, D * 4, ctx, (v, height) => {
      const y = output('y', rowSlice(out, D, v, height), ctx)
      return [
        elementwise({
          key: 'putRows',
          label: `${k.label} ${count} into [${V},${D}]`,
          total: count * D,
          params: {
            D: int(D),
            first: int(v),
            last: int(v + height),
            srcOffset: int(s.offset),
            idsOffset: int(i.offset),
            yOffset: int(y.offset),
          },
          buffers: [s.use, i.use, y.use],
          body: () => `  let id = ids[p.idsOffset + element / p.D];
  if (id >= p.first && id < p.last) {
    y[p.yOffset + (id - p.first) * p.D + element % p.D] = src[p.srcOffset + element];
  }`,
        }),
      ]
    })
  })
}

const LINK_TILE = 256

/**
 * Rows added where ids point, without atomics: a first pass links every row to the next one with the same id; then the
 * workgroup of the first row of an id follows the links and adds in the order of N.
 */
export function lowerScatterAddRows(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [src, ids] = k.inputs
  const [out] = k.outputs
  const { rows: V, columns: D } = rowsOf(out.shape)
  const N = numel(ids.shape)
  if (V * D === 0) return []
  const dispatches = byRows(V, D * 4, ctx, (start, count) => {
    const y = output('y', rowSlice(out, D, start, count), ctx)
    return [
      elementwise({
        key: 'zero',
        label: `${k.label} (zero)`,
        total: count * D,
        params: { offset: int(y.offset) },
        buffers: [y.use],
        body: () => '  y[p.offset + element] = 0f;',
      }),
    ]
  })
  const next = ctx.scratch(N * 4)
  const isFirst = ctx.scratch(N * 4)
  dispatches.push(
    ...byRows(N, D * 4, ctx, (start, count) => [
      linkRows(k, flatSlice(ids, start, count), V, count, next, isFirst, ctx),
      ...byRows(V, D * 4, ctx, (v, height) => [
        addRows(
          k,
          rowSlice(src, D, start, count),
          flatSlice(ids, start, count),
          rowSlice(out, D, v, height),
          { D, count, first: v, last: v + height, next, isFirst },
          ctx,
        ),
      ]),
    ]),
  )
  return dispatches
}

function linkRows(
  k: CallKernel,
  ids: CallOperand,
  V: number,
  count: number,
  next: number,
  isFirst: number,
  ctx: LowerContext,
): Dispatch {
  const i = bind('ids', ids, ctx)
  return {
    key: 'scatterAddRows.link',
    label: `${k.label} (link ${count})`,
    params: { V: int(V), count: int(count), idsOffset: int(i.offset) },
    buffers: [
      i.use,
      scratchUse('next', next, count, 'read_write', 'i32'),
      scratchUse('isFirst', isFirst, count, 'read_write', 'i32'),
    ],
    groups: Math.ceil(count / LINK_TILE),
    shader: {
      workgroupSize: LINK_TILE,
      declarations: () => `var<workgroup> others: array<i32, ${LINK_TILE}>;\n`,
      body: () => `  let n = group * ${LINK_TILE} + lid;
  let id = ids[p.idsOffset + min(n, p.count - 1)];
  var follower = -1;
  var first = id >= 0 && id < p.V;
  for (var start = 0; start < p.count; start += ${LINK_TILE}) {
    others[lid] = ids[p.idsOffset + min(start + lid, p.count - 1)];
    workgroupBarrier();
    let end = min(${LINK_TILE}, p.count - start);
    for (var t = 0; t < end; t++) {
      let j = start + t;
      if (others[t] == id) {
        if (j < n) { first = false; }
        if (j > n && follower < 0) { follower = j; }
      }
    }
    workgroupBarrier();
  }
  if (n < p.count) {
    next[n] = follower;
    isFirst[n] = select(0, 1, first);
  }`,
    },
  }
}

function addRows(
  k: CallKernel,
  src: CallOperand,
  ids: CallOperand,
  out: CallOperand,
  at: { D: number; count: number; first: number; last: number; next: number; isFirst: number },
  ctx: LowerContext,
): Dispatch {
  const s = bind('src', src, ctx)
  const i = bind('ids', ids, ctx)
  const y = output('y', out, ctx)
  const workgroupSize = 64
  return {
    key: 'scatterAddRows.add',
    label: `${k.label} [${at.count},${at.D}]`,
    params: {
      D: int(at.D),
      first: int(at.first),
      last: int(at.last),
      srcOffset: int(s.offset),
      idsOffset: int(i.offset),
      yOffset: int(y.offset),
    },
    buffers: [
      s.use,
      i.use,
      scratchUse('next', at.next, at.count, 'read', 'i32'),
      scratchUse('isFirst', at.isFirst, at.count, 'read', 'i32'),
      y.use,
    ],
    groups: at.count,
    shader: {
      workgroupSize,
      body: () => `  let id = ids[p.idsOffset + group];
  if (isFirst[group] == 0 || id < p.first || id >= p.last) { return; }
  let row = p.yOffset + (id - p.first) * p.D;
  for (var d = lid; d < p.D; d += ${workgroupSize}) {
    var sum = y[row + d];
    for (var n = group; n >= 0; n = next[n]) { sum += src[p.srcOffset + n * p.D + d]; }
    y[row + d] = sum;
  }`,
    },
  }
}

/** x[r, index[r, k]]. */
export function lowerGather(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [x, index] = k.inputs
  const [out] = k.outputs
  const C = rowsOf(x.shape).columns
  const { rows: R, columns: K } = rowsOf(out.shape)
  if (K === 0) return []
  return byRows(R, Math.max(C, K) * 4, ctx, (start, count) => {
    const a = bind('x', rowSlice(x, C, start, count), ctx)
    const i = bind('index', rowSlice(index, K, start, count), ctx)
    const y = output('y', rowSlice(out, K, start, count), ctx)
    return [
      elementwise({
        key: `gather.${x.dtype}`,
        label: `${k.label} [${count},${C}]`,
        total: count * K,
        params: {
          C: int(C),
          K: int(K),
          xOffset: int(a.offset),
          indexOffset: int(i.offset),
          yOffset: int(y.offset),
        },
        buffers: [a.use, i.use, y.use],
        body: () => `  let c = index[p.indexOffset + element];
  if (c >= 0 && c < p.C) { let source = p.xOffset + (element / p.K) * p.C + c; y[p.yOffset + element] = ${element(a, 'source')}; }
  else { y[p.yOffset + element] = ${missing(x.dtype)}; }`,
      }),
    ]
  })
}

/** First position of the largest element of each row; NaN is larger than all. */
export function lowerArgmax(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [x] = k.inputs
  const [out] = k.outputs
  const C = rowsOf(x.shape).columns
  const workgroupSize = 256
  // integers that order as the floats do: -0 as 0, NaN on top
  const rank = (value: string) =>
    x.dtype === 'int32'
      ? `return ${value};`
      : x.dtype === 'bool'
        ? `return i32(${value});`
        : `let v = ${value};
  if (isNan(v)) { return 2147483647; }
  let bits = bitcast<i32>(v);
  if ((bits & 0x7fffffff) == 0) { return 0; }
  return select(bits, bits ^ 0x7fffffff, bits < 0);`
  return byRows(numel(out.shape), C * 4, ctx, (start, count) => {
    const a = bind('x', rowSlice(x, C, start, count), ctx)
    const y = output('y', flatSlice(out, start, count), ctx)
    return [
      {
        key: `argmax.${x.dtype}`,
        label: `${k.label} [${count},${C}]`,
        params: { C: int(C), xOffset: int(a.offset), yOffset: int(y.offset) },
        buffers: [a.use, y.use],
        groups: count,
        shader: {
          workgroupSize,
          declarations: () => `var<workgroup> ranks: array<i32, ${workgroupSize}>;
var<workgroup> places: array<i32, ${workgroupSize}>;
fn rankAt(at: i32) -> i32 {
  ${rank(element(a, 'at'))}
}
`,
          body: () => `  var best = -2147483647 - 1;
  var place = 2147483647;
  for (var c = lid; c < p.C; c += ${workgroupSize}) {
    let r = rankAt(p.xOffset + group * p.C + c);
    if (r > best || place == 2147483647) { best = r; place = c; }
  }
  ranks[lid] = best;
  places[lid] = place;
  workgroupBarrier();
  for (var half = ${workgroupSize / 2}; half > 0; half /= 2) {
    if (lid < half) {
      let r = ranks[lid + half];
      let other = places[lid + half];
      if (r > ranks[lid] || (r == ranks[lid] && other < places[lid])) { ranks[lid] = r; places[lid] = other; }
    }
    workgroupBarrier();
  }
  if (lid == 0) { y[p.yOffset + group] = places[0]; }`,
        },
      },
    ]
  })
}
