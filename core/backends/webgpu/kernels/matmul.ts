/**
 * Matrix products. Large ones: a workgroup makes one tile of the result, panels of both operands pass through workgroup
 * memory, a thread keeps a block of the tile in registers. With few rows (decoding), threads share the inner dimension of
 * one dot product instead, so that the second operand is read once, in order.
 */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import {
  bound,
  type Dispatch,
  int,
  type LowerContext,
  type LowerLimits,
  type ParamWord,
} from '../dispatch.ts'
import { type Bound, bind, bytesOf, element, output } from './call.ts'

/** Rows up to which the dot-product kernel is used. */
const FEW_ROWS = 8
const TILE_K = 16

interface Problem {
  /** [b0, b1, b2, M, K], [b0, b1, b2, K, N], [b0, b1, b2, M, N] with strides. */
  readonly a: CallOperand
  readonly b: CallOperand
  readonly out: CallOperand
  readonly bias: CallOperand | null
  /** Adds to what `out` holds: a later part of the inner dimension. */
  readonly accumulate: boolean
}

/** Batch dimensions padded to three. */
function padBatch(o: CallOperand): CallOperand {
  const missing = 5 - o.shape.length
  return {
    ...o,
    shape: [...new Array<number>(missing).fill(1), ...o.shape],
    strides: [...new Array<number>(missing).fill(0), ...o.strides],
  }
}

export function lowerMatmul(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [a, b, bias] = k.inputs
  const [out] = k.outputs
  if (numel(out.shape) === 0) return []
  const problem: Problem = {
    a: padBatch(a),
    b: padBatch(b),
    out: padBatch(out),
    bias: k.attrs.bias ? bias : null,
    accumulate: false,
  }
  return lowerProblem(problem, k.label, ctx)
}

const cut = (o: CallOperand, dim: number, start: number, length: number): CallOperand => ({
  ...o,
  shape: o.shape.with(dim, length),
  offset: o.offset + start * o.strides[dim],
})

/** Cuts the problem until all operands bind, then lowers the parts. */
function lowerProblem(q: Problem, label: string, ctx: LowerContext): Dispatch[] {
  const limit = ctx.limits.maxBindingBytes
  const fits = (o: CallOperand) => bytesOf(o) <= limit
  if (fits(q.a) && fits(q.b) && fits(q.out)) return [dispatchOf(q, label, ctx)]
  const halves = (n: number): [number, number][] => {
    const half = Math.ceil(n / 2)
    return [
      [0, half],
      [half, n - half],
    ]
  }
  const batch = [0, 1, 2].find((d) => q.out.shape[d] > 1)
  if (batch !== undefined)
    return halves(q.out.shape[batch]).flatMap(([start, length]) =>
      lowerProblem(
        {
          ...q,
          a: cut(q.a, batch, start, length),
          b: cut(q.b, batch, start, length),
          out: cut(q.out, batch, start, length),
        },
        label,
        ctx,
      ),
    )
  if (q.out.shape[3] > 1 && (!fits(q.out) || (!fits(q.a) && q.a.strides[3] >= q.a.strides[4])))
    return halves(q.out.shape[3]).flatMap(([start, length]) =>
      lowerProblem({ ...q, a: cut(q.a, 3, start, length), out: cut(q.out, 3, start, length) }, label, ctx),
    )
  if (q.out.shape[4] > 1 && (!fits(q.out) || (!fits(q.b) && q.b.strides[4] >= q.b.strides[3])))
    return halves(q.out.shape[4]).flatMap(([start, length]) =>
      lowerProblem(
        {
          ...q,
          b: cut(q.b, 4, start, length),
          out: cut(q.out, 4, start, length),
          bias: q.bias && cut(q.bias, 0, start, length),
        },
        label,
        ctx,
      ),
    )
  if (q.a.shape[4] > 1)
    return halves(q.a.shape[4]).flatMap(([start, length]) =>
      lowerProblem(
        {
          ...q,
          a: cut(q.a, 4, start, length),
          b: cut(q.b, 3, start, length),
          bias: start === 0 ? q.bias : null,
          accumulate: q.accumulate || start > 0,
        },
        label,
        ctx,
      ),
    )
  throw new RangeError(
    `[webgpu] matmul ${label}: one row does not fit the adapter's binding of ${limit} bytes`,
  )
}

function dispatchOf(q: Problem, label: string, ctx: LowerContext): Dispatch {
  const [b0, b1, b2, M, N] = q.out.shape
  const K = q.a.shape[4]
  const a = bind('a', q.a, ctx)
  const b = bind('b', q.b, ctx)
  const out = output('y', q.out, ctx)
  const bias = q.bias && bind('bias', q.bias, ctx)
  const params: Record<string, ParamWord> = { M: int(M), N: int(N), K: int(K), b1: int(b1), b2: int(b2) }
  const view = (name: string, bound: Bound, o: CallOperand) => {
    params[`${name}Offset`] = int(bound.offset)
    o.strides.forEach((s, d) => {
      params[`${name}${d}`] = int(s)
    })
  }
  view('a', a, q.a)
  view('b_', b, q.b)
  view('y', out, q.out)
  if (bias) {
    params.biasOffset = int(bias.offset)
    params.biasStride = int(q.bias?.strides[0] ?? 1)
  }
  const common: Common = {
    a,
    b,
    bias,
    accumulate: q.accumulate,
    aAlongK: q.a.strides[4] === 1 || K === 1,
    bAlongN: q.b.strides[4] === 1 || N === 1,
  }
  const traits = `${q.b.dtype}.${common.aAlongK}.${common.bAlongN}.${bias?.dtype ?? ''}.${q.accumulate}`
  const buffers = [a.use, b.use, ...(bias ? [bias.use] : []), out.use]
  const name = `${label} [${[b0, b1, b2].filter((n) => n > 1)}] ${M}x${N}x${K}`
  const batches = b0 * b1 * b2
  if (M <= FEW_ROWS) {
    const rows = 2 ** Math.ceil(Math.log2(M))
    const columns = common.bAlongN ? 32 : 8
    params.tiles = int(Math.ceil(N / columns))
    return {
      key: `matvec.${rows}.${traits}`,
      label: name,
      params,
      buffers,
      groups: batches * Math.ceil(N / columns),
      shader: fewRowsShader(common, rows, columns),
    }
  }
  const large = M > 32 && N > 32
  const tile = large ? { m: 64, n: 64, rows: 8 } : { m: 32, n: 32, rows: 4 }
  params.tiles = int(Math.ceil(N / tile.n))
  params.tilesM = int(Math.ceil(M / tile.m))
  return {
    key: `matmul.${tile.m}.${traits}`,
    label: name,
    params,
    buffers,
    groups: batches * Math.ceil(N / tile.n) * Math.ceil(M / tile.m),
    shader: tileShader(common, tile, ctx.limits),
  }
}

interface Common {
  readonly a: Bound
  readonly b: Bound
  readonly bias: Bound | null
  readonly accumulate: boolean
  /** Which way neighbours lie in memory: decides how threads share the loading. */
  readonly aAlongK: boolean
  readonly bAlongN: boolean
}

const batchBases = (batch: string) => `  let i2 = ${batch} % p.b2;
  let i1 = (${batch} / p.b2) % p.b1;
  let i0 = ${batch} / (p.b2 * p.b1);
  let aBase = p.aOffset + i0 * p.a0 + i1 * p.a1 + i2 * p.a2;
  let bBase = p.b_Offset + i0 * p.b_0 + i1 * p.b_1 + i2 * p.b_2;
  let yBase = p.yOffset + i0 * p.y0 + i1 * p.y1 + i2 * p.y2;`

const writeResult = (c: Common) => `fn writeResult(at: i32, column: i32, value: f32) {
  var v = value;
${c.bias ? `  v += ${element(c.bias, 'p.biasOffset + column * p.biasStride')};` : ''}
${c.accumulate ? '  v += y[at];' : ''}
  y[at] = v;
}`

function tileShader(c: Common, tile: { m: number; n: number; rows: number }, limits: LowerLimits) {
  const { m, n, rows } = tile
  const threads = (m / rows) * (n / 4)
  // one vec4 of padding keeps threads that walk along k on different banks
  const aStride = m / 4 + 1
  const bStride = n / 4 + 1
  const load = (name: string, size: number, stride: number, alongK: boolean, fn: string) => {
    const count = (size / 4) * TILE_K
    const where = alongK
      ? `let k = i % ${TILE_K}; let v = i / ${TILE_K};`
      : `let v = i % ${size / 4}; let k = i / ${size / 4};`
    return `    for (var i = lid; i < ${bound(count, limits)}; i += ${threads}) {
      ${where}
      ${name}[k * ${stride} + v] = ${fn}(${name}First + v * 4, start + k, ${name === 'tileA' ? 'aBase' : 'bBase'});
    }`
  }
  return {
    workgroupSize: threads,
    declarations: () => `var<workgroup> tileA: array<vec4f, ${TILE_K * aStride}>;
var<workgroup> tileB: array<vec4f, ${TILE_K * bStride}>;
fn loadA(row: i32, k: i32, base: i32) -> vec4f {
  let inside = (vec4i(row) + vec4i(0, 1, 2, 3) < vec4i(p.M)) & vec4<bool>(k < p.K);
  let at = vec4i(base) + select(vec4i(), (vec4i(row) + vec4i(0, 1, 2, 3)) * p.a3 + k * p.a4, inside);
  return select(vec4f(), vec4f(a[at.x], a[at.y], a[at.z], a[at.w]), inside);
}
fn loadB(column: i32, k: i32, base: i32) -> vec4f {
  let inside = (vec4i(column) + vec4i(0, 1, 2, 3) < vec4i(p.N)) & vec4<bool>(k < p.K);
  let at = vec4i(base) + select(vec4i(), (vec4i(column) + vec4i(0, 1, 2, 3)) * p.b_4 + k * p.b_3, inside);
  return select(vec4f(), vec4f(${['at.x', 'at.y', 'at.z', 'at.w'].map((at) => element(c.b, at)).join(', ')}), inside);
}
${writeResult(c)}
`,
    body: () => `  let tileBFirst = (group % p.tiles) * ${n};
  let tileAFirst = ((group / p.tiles) % p.tilesM) * ${m};
  let batch = group / (p.tiles * p.tilesM);
${batchBases('batch')}
  let tx = lid % ${n / 4};
  let ty = lid / ${n / 4};
  var sums: array<vec4f, ${rows}>;
  for (var start = 0; start < p.K; start += ${TILE_K}) {
${load('tileA', m, aStride, c.aAlongK, 'loadA')}
${load('tileB', n, bStride, !c.bAlongN, 'loadB')}
    workgroupBarrier();
    for (var k = 0; k < ${bound(TILE_K, limits)}; k++) {
      let bv = tileB[k * ${bStride} + tx];
      for (var v = 0; v < ${bound(rows / 4, limits)}; v++) {
        let av = tileA[k * ${aStride} + ty * ${rows / 4} + v];
        sums[v * 4] += av.x * bv;
        sums[v * 4 + 1] += av.y * bv;
        sums[v * 4 + 2] += av.z * bv;
        sums[v * 4 + 3] += av.w * bv;
      }
    }
    workgroupBarrier();
  }
  let column = tileBFirst + tx * 4;
  let row = tileAFirst + ty * ${rows};
  for (var r = 0; r < ${bound(rows, limits)}; r++) {
    if (row + r >= p.M) { break; }
    let at = yBase + (row + r) * p.y3 + column * p.y4;
    let v = sums[r];
    if (column < p.N) { writeResult(at, column, v.x); }
    if (column + 1 < p.N) { writeResult(at + p.y4, column + 1, v.y); }
    if (column + 2 < p.N) { writeResult(at + 2 * p.y4, column + 2, v.z); }
    if (column + 3 < p.N) { writeResult(at + 3 * p.y4, column + 3, v.w); }
  }`,
  }
}

/** `columns` results a workgroup, each by 256 / columns threads that share the inner dimension. */
function fewRowsShader(c: Common, rows: number, columns: number) {
  const workgroupSize = 256
  const shares = workgroupSize / columns
  const each = Array.from({ length: rows }, (_, r) => r)
  // neighbouring threads read neighbours of b
  const roles = c.bAlongN
    ? `let mine = lid % ${columns}; let share = lid / ${columns};`
    : `let share = lid % ${shares}; let mine = lid / ${shares};`
  // the tree halves the shares, so they are the slow index
  return {
    workgroupSize,
    declarations: () => `var<workgroup> partials: array<array<f32, ${workgroupSize}>, ${rows}>;
${writeResult(c)}
`,
    body: () => `  let batch = group / p.tiles;
${batchBases('batch')}
  ${roles}
  let column = (group % p.tiles) * ${columns} + mine;
${each.map((r) => `  var acc${r} = 0f;`).join('\n')}
${each.map((r) => `  let row${r} = aBase + min(${r}, p.M - 1) * p.a3;`).join('\n')}
  if (column < p.N) {
    let first = bBase + column * p.b_4;
    for (var k = share; k < p.K; k += ${shares}) {
      let bv = ${element(c.b, '(first + k * p.b_3)')};
      let ak = k * p.a4;
${each.map((r) => `      acc${r} += a[row${r} + ak] * bv;`).join('\n')}
    }
  }
  let slot = share * ${columns} + mine;
${each.map((r) => `  partials[${r}][slot] = acc${r};`).join('\n')}
  workgroupBarrier();
  for (var half = ${workgroupSize / 2}; half >= ${columns}; half /= 2) {
    if (lid < half) {
${each.map((r) => `      partials[${r}][lid] += partials[${r}][lid + half];`).join('\n')}
    }
    workgroupBarrier();
  }
  let finished = (group % p.tiles) * ${columns} + lid;
  if (lid < ${columns} && finished < p.N) {
${each.map((r) => `    if (${r} < p.M) { writeResult(yBase + ${r} * p.y3 + finished * p.y4, finished, partials[${r}][lid]); }`).join('\n')}
  }`,
  }
}
