/**
 * Reductions. Two ways over the reduced elements of one result: a workgroup strides over them and combines in a tree
 * (`row`: neighbours in memory lie along the reduced dimensions), or one thread walks them (`column`: neighbours belong to
 * neighbouring results, or there are few). Long ones are cut into segments whose partial results a second kernel combines,
 * so that no f32 sum is one long chain. The cut depends on the shape alone: same bits at every run.
 */
import { acc as accumulator, load, postorder } from '../../expr.ts'
import { type Operand, type ReduceKernel, structureKey } from '../../plan/kernel.ts'
import { numel } from '../../shape.ts'
import { type Dispatch, int, type LowerContext, type ParamWord } from './dispatch.ts'
import { emitExprs } from './expr.ts'
import { decomposeIndex, LoopBindings, sizeLabel, sliceLoop, splitDim } from './operands.ts'

const WORKGROUP = 256
/** A row longer than this is cut where rows alone do not fill a device. */
const ROW_SEGMENT = 4096
const COLUMN_UNCUT = 64

const INITIAL = {
  f32: { sum: '0f', prod: '1f', max: '-infinity()', min: 'infinity()' },
  i32: { sum: '0i', prod: '1i', max: '(-2147483647 - 1)', min: '2147483647i' },
} as const

const combineText = (k: ReduceKernel, a: string, b: string): string => {
  if (k.combine === 'sum') return `${a} + ${b}`
  if (k.combine === 'prod') return `${a} * ${b}`
  return k.body.type === 'f32' ? `${k.combine}Nan(${a}, ${b})` : `${k.combine}(${a}, ${b})`
}

type Strategy = 'row' | 'column'

function chooseStrategy(k: ReduceKernel, reduced: number): Strategy {
  if (reduced < 32) return 'column'
  const rank = k.shape.length
  const kept = rank - k.reducedRank
  let along = 0
  let across = 0
  for (const o of k.loads) {
    if (o.buffer < 0) continue
    if (Math.abs(o.strides[rank - 1]) === 1) along++
    if (kept > 0 && Math.abs(o.strides[kept - 1]) === 1 && k.shape[kept - 1] > 1) across++
  }
  return across > along ? 'column' : 'row'
}

/** Reduced elements of one partial result. */
function segmentLength(strategy: Strategy, kept: number, reduced: number): number {
  if (strategy === 'row') {
    if (reduced <= ROW_SEGMENT || (kept >= 512 && reduced <= 16 * ROW_SEGMENT)) return reduced
    return Math.max(ROW_SEGMENT, Math.ceil(reduced / 1024))
  }
  if (reduced <= COLUMN_UNCUT || (kept >= 16384 && reduced <= 512)) return reduced
  return Math.max(COLUMN_UNCUT / 2, Math.ceil(Math.sqrt(reduced)))
}

export function lowerReduce(k: ReduceKernel, ctx: LowerContext): Dispatch[] {
  const rank = k.shape.length
  const keptRank = rank - k.reducedRank
  const kept = numel(k.shape.slice(0, keptRank))
  const reduced = numel(k.shape.slice(keptRank))
  if (kept === 0) return []
  const largest = new LoopBindings(k, ctx.buffers).largest
  if (largest > ctx.limits.maxBindingBytes) return splitReduce(k, ctx, keptRank, largest)
  const strategy = chooseStrategy(k, reduced)
  const length = segmentLength(strategy, kept, reduced)
  if (length >= reduced) return [reduceDispatch(k, ctx, strategy, reduced, 1)]
  const segments = Math.ceil(reduced / length)
  const partial = partialOperand(k, ctx, strategy === 'column', kept, segments)
  const first: ReduceKernel = { ...k, stores: [{ operand: partial, value: accumulator(k.body.type) }] }
  return [
    reduceDispatch(first, ctx, strategy, length, segments),
    ...lowerReduce(combineKernel(k, partial, segments, strategy === 'column', kept), ctx),
  ]
}

/** Scratch for [kept, segments] partial results, or [segments, kept] where `across`, with no strides yet. */
function partialOperand(
  k: ReduceKernel,
  ctx: LowerContext,
  across: boolean,
  kept: number,
  segments: number,
): Operand {
  const keptRank = k.shape.length - k.reducedRank
  const strides = k.shape.map(() => 0)
  let stride = across ? 1 : segments
  for (let d = keptRank - 1; d >= 0; d--) {
    strides[d] = stride
    stride *= k.shape[d]
  }
  const dtype = k.body.type === 'f32' ? 'float32' : 'int32'
  return { buffer: ctx.scratch(kept * segments * 4), dtype, offset: 0, strides }
}

/** Combines partial results and does the stores of `k`. */
function combineKernel(
  k: ReduceKernel,
  partial: Operand,
  segments: number,
  across: boolean,
  kept: number,
): ReduceKernel {
  const keptRank = k.shape.length - k.reducedRank
  const fit = (o: Operand): Operand => ({ ...o, strides: [...o.strides.slice(0, keptRank), 0] })
  const strides = [...partial.strides.slice(0, keptRank), across ? kept : 1]
  return {
    ...k,
    shape: [...k.shape.slice(0, keptRank), segments],
    reducedRank: 1,
    body: load(k.loads.length, k.body.type),
    loads: [...k.loads.map(fit), { ...partial, strides }],
    stores: k.stores.map((s) => ({ ...s, operand: fit(s.operand) })),
    label: `${k.label} (combine)`,
  }
}

/** Cuts a reduction whose operands do not bind whole: by results where there are several, else into partial results. */
function splitReduce(k: ReduceKernel, ctx: LowerContext, keptRank: number, largest: number): Dispatch[] {
  const dim = splitDim(k.shape, keptRank)
  if (dim >= 0) {
    const half = Math.ceil(k.shape[dim] / 2)
    return [
      ...lowerReduce(sliceLoop(k, dim, 0, half), ctx),
      ...lowerReduce(sliceLoop(k, dim, half, k.shape[dim] - half), ctx),
    ]
  }
  const cut = splitDim(k.shape, k.shape.length)
  if (cut < 0)
    throw new Error(
      `[webgpu] kernel ${k.label} reads ${largest} bytes for one element; the adapter binds ${ctx.limits.maxBindingBytes}`,
    )
  const partial = partialOperand(k, ctx, false, 1, 2)
  const half = Math.ceil(k.shape[cut] / 2)
  const part = (start: number, length: number, at: number): ReduceKernel => ({
    ...sliceLoop(k, cut, start, length),
    stores: [{ operand: { ...partial, offset: at }, value: accumulator(k.body.type) }],
  })
  return [
    ...lowerReduce(part(0, half, 0), ctx),
    ...lowerReduce(part(half, k.shape[cut] - half, 1), ctx),
    ...lowerReduce(combineKernel(k, partial, 2, false, 1), ctx),
  ]
}

/**
 * One dispatch over `segments` segments of `length` reduced elements each. With several, `k` stores its partial results
 * into scratch, where segment s of a result follows at s (row) or at s * kept (column) elements.
 */
function reduceDispatch(
  k: ReduceKernel,
  ctx: LowerContext,
  strategy: Strategy,
  length: number,
  segments: number,
): Dispatch {
  const rank = k.shape.length
  const keptRank = rank - k.reducedRank
  const kept = numel(k.shape.slice(0, keptRank))
  const reduced = numel(k.shape.slice(keptRank))
  // loads that only the other stage uses would waste bindings
  const bindings = new LoopBindings(pruneLoads(k, segments), ctx.buffers)
  if (bindings.buffers.length > ctx.limits.maxStorageBuffers)
    throw new Error(
      `[webgpu] kernel ${k.label} needs ${bindings.buffers.length} buffers and the adapter binds ${ctx.limits.maxStorageBuffers}: fuse less`,
    )
  const partial = segments > 1
  const params: Record<string, ParamWord> = {
    kept: int(kept),
    reduced: int(reduced),
    segment: int(length),
    segments: int(segments),
    segmentStride: int(strategy === 'row' ? 1 : kept),
  }
  k.shape.forEach((n, d) => {
    params[`n${d}`] = int(n)
  })
  Object.assign(params, bindings.params())
  const results = kept * segments
  return {
    key: `${strategy}${partial ? '.partial' : ''}|${structureKey(k)}|${bindings.pattern}`,
    label: `${k.label} ${sizeLabel(k.shape)}`,
    params,
    buffers: bindings.buffers.map((b) => {
      // the windows of partial results hold all segments
      return partial && b.access === 'read_write' ? { ...b, byteOffset: 0, bytes: results * 4 } : b
    }),
    groups: strategy === 'row' ? results : Math.ceil(results / WORKGROUP),
    shader: reduceShader(k, bindings, strategy, partial),
  }
}

/** Replaces loads that this stage does not use by unbound ones, so that numbering stays. */
function pruneLoads(k: ReduceKernel, segments: number): ReduceKernel {
  const roots = segments === 1 ? [k.body, ...k.stores.map((s) => s.value)] : [k.body]
  const used = new Set(
    postorder(roots).flatMap((e) => (e.op === 'load' || e.op === 'address' ? [e.value] : [])),
  )
  return { ...k, loads: k.loads.map((o, i) => (used.has(i) ? o : { ...o, buffer: -1 })) }
}

function reduceShader(k: ReduceKernel, bindings: LoopBindings, strategy: Strategy, partial: boolean) {
  const type = k.body.type === 'f32' ? 'f32' : 'i32'
  const rank = k.shape.length
  const keptRank = rank - k.reducedRank
  const anyIndex = (d: number) => `x${d}`
  const keptIndex = (d: number) => (d < keptRank ? `x${d}` : null)
  const leaves = (index: (d: number) => string | null) => ({
    load: (i: number) => bindings.load(i, index),
    address: (i: number) => bindings.address(i, index),
    scalar: (i: number) => `p.c${i}`,
  })
  const stores = () => {
    if (partial) return bindings.store(0, 'total', keptIndex, 'part * p.segmentStride')
    const { code, results } = emitExprs(
      k.stores.map((s) => s.value),
      { ...leaves(keptIndex), acc: 'total' },
      's',
    )
    return `${code}\n${results.map((r, i) => bindings.store(i, r, keptIndex)).join('\n')}`
  }
  const loop = (start: string, step: number) => {
    const { code, results } = emitExprs([k.body], leaves(anyIndex), 'v')
    return `  var total: ${type} = ${INITIAL[type][k.combine]};
  for (var r = ${start}; r < last; r += ${step}) {
${decomposeIndex('r', keptRank, rank)}
${code}
    total = ${combineText(k, 'total', results[0])};
  }`
  }
  const range = `  let first = part * p.segment;
  let last = min(first + p.segment, p.reduced);`
  const keptNames = decomposeIndex('result', 0, keptRank).replaceAll('rest', 'keptRest')
  if (strategy === 'column') {
    return {
      workgroupSize: WORKGROUP,
      body: () => `  let thread = group * ${WORKGROUP} + lid;
  if (thread >= p.kept * p.segments) { return; }
  let result = thread % p.kept;
  let part = thread / p.kept;
${keptNames}
${range}
${loop('first', 1)}
${stores()}`,
    }
  }
  return {
    workgroupSize: WORKGROUP,
    declarations: () => `var<workgroup> partials: array<${type}, ${WORKGROUP}>;\n`,
    body: () => `  let result = group / p.segments;
  let part = group % p.segments;
${keptNames}
${range}
${loop('first + lid', WORKGROUP)}
  partials[lid] = total;
  workgroupBarrier();
  for (var half = ${WORKGROUP / 2}; half > 0; half /= 2) {
    if (lid < half) { partials[lid] = ${combineText(k, 'partials[lid]', 'partials[lid + half]')}; }
    workgroupBarrier();
  }
  if (lid == 0) {
    total = partials[0];
${stores()}
  }`,
  }
}
