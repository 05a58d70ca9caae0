/**
 * What attention's kernels share. A workgroup of 256 threads works on a block of 32 rows (queries, or keys for dk and dv)
 * against blocks of 32 columns (keys, or queries). Thread `lid` belongs to row `r = lid / 8`; it holds the scores of the
 * four columns from `4 c8` (c8 = lid % 8) and, of each 32 channels of a result row, the four from `4 c8`.
 */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import {
  type BufferUse,
  bound,
  int,
  type LowerContext,
  type LowerLimits,
  type ParamWord,
  slotOf,
} from '../dispatch.ts'
import { type Bound, bind, element } from './call.ts'

export const BLOCK = 32
export const THREADS = 256
/** Threads a row. */
export const LANES = THREADS / BLOCK
/** Rows of tiles in workgroup memory, in vec4 and in f32: one more than 32 elements take, against bank conflicts. */
const TILE_STRIDE = BLOCK / 4 + 1
const ROW_STRIDE = BLOCK + 1

export interface Sizes {
  readonly B: number
  readonly Hq: number
  readonly Hkv: number
  readonly Tq: number
  readonly Tk: number
  readonly D: number
}

/** The call's operands for the batches `first` to `first + sizes.B`, bound as the kernels name them. */
export interface AttentionOperands {
  readonly sizes: Sizes
  readonly attrs: CallKernel['attrs']
  readonly limits: LowerLimits
  readonly tensors: Readonly<Record<string, Bound>>
  readonly params: Readonly<Record<string, ParamWord>>
}

/** [B, H, T, D] with the batches from `first` alone. */
export const cutBatch = (o: CallOperand, first: number, count: number): CallOperand => ({
  ...o,
  shape: [count, ...o.shape.slice(1)],
  offset: o.offset + first * o.strides[0],
})

/** A contiguous [B, T, H, D] seen as [B, H, T, D]. */
export function headsFirst(o: CallOperand): CallOperand {
  const [B, T, H, D] = o.shape
  return { ...o, shape: [B, H, T, D], strides: [T * H * D, D, H * D, 1] }
}

export function bindOperands(
  k: CallKernel,
  ctx: LowerContext,
  sizes: Sizes,
  firstBatch: number,
  operands: Readonly<Record<string, CallOperand>>,
): AttentionOperands {
  const tensors: Record<string, Bound> = {}
  const params: Record<string, ParamWord> = {
    causal: int(k.attrs.causal ? 1 : 0),
    D: int(sizes.D),
    Hq: int(sizes.Hq),
    share: int(sizes.Hq / sizes.Hkv),
    Hkv: int(sizes.Hkv),
    Tq: int(sizes.Tq),
    Tk: int(sizes.Tk),
    firstBatch: int(firstBatch),
  }
  for (const [name, o] of Object.entries(operands)) {
    const tensor = bind(name, o, ctx, name.startsWith('out') ? 'read_write' : 'read')
    tensors[name] = tensor
    params[`${name}Offset`] = int(tensor.offset)
    if (name === 'cuSeqlens') params.segments = int(o.shape[0] - 1)
    else
      o.strides.forEach((s, d) => {
        params[`${name}${d}`] = int(s)
      })
  }
  const names = ['scale', 'kvLength', 'p', 'key0', 'key1', 'counter0', 'counter1']
  k.scalars.forEach((s, i) => {
    params[names[i]] = slotOf(s)
  })
  return { sizes, attrs: k.attrs, limits: ctx.limits, tensors, params }
}

export const usesOf = (a: AttentionOperands): BufferUse[] => Object.values(a.tensors).map((t) => t.use)

/** What the code depends on besides the kernel's name. */
export const traitsOf = (a: AttentionOperands): string => {
  const { mask, packed, dropout } = a.attrs
  const dtypes = Object.values(a.tensors).map((t) => t.dtype)
  return `${chunksOf(a.sizes.D).length}.${a.sizes.D % 4 === 0}.${!!mask}.${!!packed}.${!!dropout}.${dtypes}`
}

/**
 * `fetch_<name>(t, d)`: four channels from d of token t, zeros outside `limit` tokens and the head's channels; reads at
 * `base_<name>`, which the body sets.
 */
function fetchFunction(a: AttentionOperands, name: string, limit: string): string {
  const { D } = a.sizes
  const tensor = a.tensors[name]
  const part = (i: number) => {
    const read = element(tensor, `(at + ${i})`)
    return D % 4 === 0 ? read : `select(0f, ${read}, d + ${i} < p.D)`
  }
  // without branches: software adapters compile those slowly
  return `var<private> base_${name}: i32;
fn fetch_${name}(t: i32, d: i32) -> vec4f {
  let inside = t < ${limit} && d < p.D;
  let at = base_${name} + select(0, t * p.${name}2 + d, inside);
  return select(vec4f(), vec4f(${[0, 1, 2, 3].map(part).join(', ')}), inside);
}
// channel d of four tokens from t
fn fetchTokens_${name}(t: i32, d: i32) -> vec4f {
  let inside = (vec4i(t) + vec4i(0, 1, 2, 3) < vec4i(${limit})) & vec4<bool>(d < p.D);
  let at = vec4i(base_${name}) + select(vec4i(), (vec4i(t) + vec4i(0, 1, 2, 3)) * p.${name}2 + d, inside);
  return select(vec4f(), vec4f(${[0, 1, 2, 3].map((i) => element(tensor, `at[${i}]`)).join(', ')}), inside);
}
`
}

/** Declarations: tiles, range functions, dropout, and fetch functions for the named tensors. */
export function declarations(
  a: AttentionOperands,
  fetched: Readonly<Record<string, 'queries' | 'keys'>>,
): string {
  const { packed, dropout } = a.attrs
  return `var<workgroup> rowTile: array<f32, ${BLOCK * ROW_STRIDE}>;
var<workgroup> columnTile: array<vec4f, ${BLOCK * TILE_STRIDE}>;
var<workgroup> scores: array<f32, ${BLOCK * ROW_STRIDE}>;
${Object.entries(fetched)
  .map(([name, kind]) => fetchFunction(a, name, kind === 'queries' ? 'p.Tq' : 'keyCount()'))
  .join('')}
fn keyCount() -> i32 { return min(p.kvLength, p.Tk); }
fn isMinusInfinity(x: f32) -> bool { return bitcast<u32>(x) == 0xff800000u; }
fn areMinusInfinity(x: vec4f) -> vec4<bool> { return bitcast<vec4u>(x) == vec4u(0xff800000u); }
${
  packed
    ? `// number of the boundaries that are not behind token t
fn boundaries(t: i32) -> i32 {
  var low = 0;
  var high = p.segments + 1;
  while (low < high) {
    let middle = (low + high) / 2;
    if (cuSeqlens[p.cuSeqlensOffset + middle] <= t) { low = middle + 1; } else { high = middle; }
  }
  return low;
}
// from the start of first's segment to the end of last's; empty for one token that is in none
fn segmentsOf(first: i32, last: i32) -> vec2i {
  let start = boundaries(first) - 1;
  let end = boundaries(last);
  let from0 = cuSeqlens[p.cuSeqlensOffset + max(start, 0)];
  let to0 = cuSeqlens[p.cuSeqlensOffset + min(end, p.segments)];
  let outside = start == end - 1 && (start < 0 || end > p.segments);
  return select(vec2i(from0, to0), vec2i(0, 0), outside);
}`
    : ''
}
// the keys that query i sees; the keys that any of the queries first..last sees lie between those of first and last
fn keyRange(first: i32, last: i32) -> vec2i {
  var range = ${packed ? 'segmentsOf(first, last)' : 'vec2i(0, p.Tk)'};
  range.y = min(range.y, keyCount());
  range.y = select(range.y, min(range.y, last + p.kvLength - p.Tq + 1), p.causal != 0);
  return select(range, vec2i(0, 0), first >= p.Tq);
}
// the queries that see key j, likewise
fn queryRange(first: i32, last: i32) -> vec2i {
  var range = ${packed ? 'segmentsOf(first, last)' : 'vec2i(0, p.Tq)'};
  range.x = select(range.x, max(range.x, first - p.kvLength + p.Tq), p.causal != 0);
  return select(range, vec2i(0, 0), first >= keyCount());
}
${
  dropout
    ? `// what dropout multiplies the probability of (row, j) with; row numbers batch, head and query
fn keepFactor(row: i32, j: i32) -> f32 {
  let product = u32(row) * u32(p.Tk);
  let low = product + u32(j);
  let high = mulHigh(u32(row), u32(p.Tk)) + select(0u, 1u, low < product);
  let sixteenth = (low >> 4u) | (high << 28u);
  let counterLow = (sixteenth << 2u) | (low & 3u);
  let counterHigh = ((high >> 4u) << 2u) | (sixteenth >> 30u);
  let sum = u32(p.counter0) + counterLow;
  let carry = select(0u, 1u, sum < counterLow);
  let words = philox(sum, u32(p.counter1) + counterHigh + carry, u32(p.key0), u32(p.key1));
  let uniform01 = f32(words[(low >> 2u) & 3u] >> 8u) * ${2 ** -24};
  return select(0f, 1f / (1f - p.p), uniform01 >= p.p);
}`
    : ''
}
`
}

/** Sets `low` and `high` (this row's columns) and `range` (the block's, the same for all threads). */
export const findRange = (rangeFunction: 'keyRange' | 'queryRange', first: string): string => `
  let range = ${rangeFunction}(${first}, ${first} + ${BLOCK - 1});
  let own = ${rangeFunction}(${first} + r, ${first} + r);
  let low = own.x;
  let high = own.y;`

/** Statements that set `target` (vec4f) to this thread's four dot products of row and column tokens. */
export const product = (
  a: AttentionOperands,
  target: string,
  row: string,
  rowStart: string,
  column: string,
  columnStart: string,
): string => `    var ${target} = vec4f();
    for (var d = 0; d < p.D; d += ${BLOCK}) {
      let rowPart = fetch_${row}(${rowStart} + r, d + c8 * 4);
${[0, 1, 2, 3].map((i) => `      rowTile[r * ${ROW_STRIDE} + c8 * 4 + ${i}] = rowPart[${i}];`).join('\n')}
      columnTile[(lid % ${BLOCK}) * ${TILE_STRIDE} + lid / ${BLOCK}] = fetchTokens_${column}(${columnStart} + lid / ${BLOCK} * 4, d + lid % ${BLOCK});
      workgroupBarrier();
      for (var i = 0; i < ${bound(BLOCK, a.limits)}; i++) {
        ${target} += rowTile[r * ${ROW_STRIDE} + i] * columnTile[i * ${TILE_STRIDE} + c8];
      }
      workgroupBarrier();
    }`

export const chunksOf = (D: number): number[] => Array.from({ length: Math.ceil(D / BLOCK) }, (_, i) => i)

export const declareSums = (name: string, D: number): string =>
  chunksOf(D)
    .map((c) => `  var ${name}${c} = vec4f();`)
    .join('\n')

/** Writes this thread's four values into `scores`, for `addProducts` of the whole row. */
export const shareScores = (value: string): string =>
  [0, 1, 2, 3].map((i) => `    scores[r * ${ROW_STRIDE} + c8 * 4 + ${i}] = ${value}[${i}];`).join('\n')

/** Declares `columns`, this thread's four, and `seen`: those in the row's range. */
export const columnsFrom = (
  start: string,
): string => `    let columns = vec4i(${start} + c8 * 4) + vec4i(0, 1, 2, 3);
    let seen = (columns >= vec4i(low)) & (columns < vec4i(high));`

/** A vec4 of what `read` spells for each of the thread's columns, at clamped ones where they are not seen. */
export const perColumn = (read: (column: string) => string): string =>
  `vec4f(${[0, 1, 2, 3].map((n) => read(`select(0, columns[${n}], seen[${n}])`)).join(', ')})`

/** Adds to `name<chunk>` the products of the row's `scores` with the columns' tokens; `factor` scales what was there. */
export const addProducts = (
  a: AttentionOperands,
  name: string,
  column: string,
  columnStart: string,
  factor?: string,
): string =>
  chunksOf(a.sizes.D)
    .map(
      (
        c,
      ) => `    columnTile[r * ${TILE_STRIDE} + c8] = fetch_${column}(${columnStart} + r, ${c * BLOCK} + c8 * 4);
    workgroupBarrier();
    ${factor ? `${name}${c} *= ${factor};` : ''}
    for (var j = 0; j < ${bound(BLOCK, a.limits)}; j++) { ${name}${c} += scores[r * ${ROW_STRIDE} + j] * columnTile[j * ${TILE_STRIDE} + c8]; }
    workgroupBarrier();`,
    )
    .join('\n')

/** Writes `expression(name<chunk>)` as the row at `base`. */
export const writeRow = (
  name: string,
  target: string,
  base: string,
  D: number,
  expression: (sum: string) => string,
): string =>
  chunksOf(D)
    .map(
      (c) => `    {
      let value = ${expression(`${name}${c}`)};
      let d = ${c * BLOCK} + c8 * 4;
${[0, 1, 2, 3].map((i) => `      if (d + ${i} < p.D) { ${target}[${base} + d + ${i}] = value[${i}]; }`).join('\n')}
    }`,
    )
    .join('\n')
