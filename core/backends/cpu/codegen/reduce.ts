/**
 * Reduce kernels. Two loop nests: along rows, where the innermost reduced dimension goes through the vector lanes, and
 * along columns, where the innermost kept dimension does (a bias gradient: [T, N] -> [N]). A reduction to few results is
 * cut into chunks whose partial results a second dispatch combines; the cut depends on the shape alone.
 */
import { dtypeInfo } from '../../../dtype.ts'
import { acc, type Expr, load, postorder } from '../../../expr.ts'
import { expandMath } from '../../../math.ts'
import type { ReduceKernel } from '../../../plan/kernel.ts'
import { type ArgWord, type Dispatch, type Lower, scratch } from '../dispatch.ts'
import { countOps } from './elements.ts'
import {
  ArgumentWords,
  addOperand,
  addScalars,
  type LoopOperand,
  loopOperand,
  operandKey,
} from './operands.ts'
import { emitColumns, LOCAL_BYTES, TILE } from './reduce-columns.ts'
import { emitRows } from './reduce-rows.ts'
import type { ReduceStructure } from './reduce-structure.ts'

/** Elements a work unit reduces where the reduction is cut. */
const CHUNK_ELEMENTS = 32768
/** With fewer units than this, and enough elements, it is cut. */
const FEW_UNITS = 16

interface Dim {
  readonly size: number
  /** One per load, in elements. */
  readonly loads: readonly number[]
  /** One per store; 0 for reduced dimensions. */
  readonly stores: readonly number[]
}

/** A reduction with its dimensions sorted for a loop nest; stores may go to a plan buffer or to scratch. */
interface Reduction {
  readonly kept: readonly Dim[]
  readonly reduced: readonly Dim[]
  readonly loads: readonly LoopOperand[]
  readonly stores: readonly { readonly operand: LoopOperand; readonly value: Expr }[]
  readonly body: Expr
}

const product = (dims: readonly Dim[]): number => dims.reduce((n, d) => n * d.size, 1)

export const lowerReduce: Lower<ReduceKernel> = (kernel, ctx): Dispatch[] => {
  const keptRank = kernel.shape.length - kernel.reducedRank
  const dims = kernel.shape.map(
    (size, d): Dim => ({
      size,
      loads: kernel.loads.map((o) => o.strides[d]),
      stores: kernel.stores.map((s) => (d < keptRank ? s.operand.strides[d] : 0)),
    }),
  )
  const isLong = (d: Dim) => d.size !== 1
  const reduction: Reduction = {
    kept: dims.slice(0, keptRank).filter(isLong),
    reduced: dims.slice(keptRank).filter(isLong),
    loads: kernel.loads.map((o) => loopOperand(o)),
    stores: kernel.stores.map((s) => ({ operand: loopOperand(s.operand), value: expandMath(s.value) })),
    body: expandMath(kernel.body),
  }
  return lower(reduction, kernel, ctx)
}

/** How well a dimension suits the vector lanes: contiguous loads count most, long dimensions win ties. */
function vectorScore(dim: Dim, used: readonly number[]): number {
  let score = 0
  for (const i of used) score += dim.loads[i] === 1 ? 2 : dim.loads[i] === 0 ? 1 : 0
  return score + Math.min(dim.size, 64) / 128
}

/** The same expressions come with every plan. */
const loadsByExpr = new WeakMap<Expr, readonly number[]>()

/** Numbers of the operands that an expression reads, in order. */
function loadsOf(root: Expr): readonly number[] {
  const known = loadsByExpr.get(root)
  if (known) return known
  const found = new Set<number>()
  for (const e of postorder([root])) if (e.op === 'load' || e.op === 'address') found.add(e.value)
  const loads = [...found].sort((a, b) => a - b)
  loadsByExpr.set(root, loads)
  return loads
}

function lower(
  reduction: Reduction,
  kernel: Pick<ReduceKernel, 'combine' | 'scalars'>,
  ctx: Parameters<Lower>[1],
): Dispatch[] {
  const { loads, stores, body } = reduction
  const used = loadsOf(body)
  const one: Dim = { size: 1, loads: loads.map(() => 0), stores: stores.map(() => 0) }
  const best = (dims: readonly Dim[]) =>
    dims.reduce<Dim | null>((b, d) => (b && vectorScore(b, used) >= vectorScore(d, used) ? b : d), null)
  const row = best(reduction.reduced)
  const column = best(reduction.kept)
  const byColumns =
    column !== null &&
    column.size >= 4 &&
    row !== null &&
    vectorScore(column, used) > vectorScore(row, used) + 0.6
  const vector = (byColumns ? column : row) ?? one
  const keptOuter = reduction.kept.filter((d) => d !== (byColumns ? column : null))
  // the longest reduced dimension goes outermost: it is the one that may be cut
  const reduced = [...reduction.reduced].filter((d) => d !== vector).sort((a, b) => b.size - a.size)

  const elements = product(reduction.reduced)
  const keptTotal = product(reduction.kept)
  const tiles = byColumns ? Math.ceil(vector.size / TILE) : 1
  const units = product(keptOuter) * tiles
  const cutDim = byColumns || reduced.length > 0 ? reduced[0] : vector
  const perStep = (elements / Math.max(1, cutDim.size)) * (byColumns ? Math.min(vector.size, TILE) : 1)
  const chunk = Math.max(1, Math.round(CHUNK_ELEMENTS / perStep))
  const isCut =
    units > 0 && units < FEW_UNITS && elements * keptTotal >= 4 * CHUNK_ELEMENTS && chunk * 2 <= cutDim.size
  const chunks = isCut ? Math.ceil(cutDim.size / chunk) : 1

  if (isCut) {
    const type = body.type === 'i32' ? 'int32' : 'float32'
    const partial = ctx.scratch(chunks * keptTotal * 4)
    // rows leave the partial results of one sum side by side, columns those of one chunk
    const keptStrides = strideOf(reduction.kept, byColumns ? 1 : chunks)
    const chunkStride = byColumns ? keptTotal : 1
    const toPartial = (dims: readonly Dim[]) =>
      dims.map((d): Dim => ({ ...d, stores: [keptStrides.get(d) ?? 0] }))
    const first = emitNest(
      {
        keptOuter: toPartial(keptOuter),
        vector: toPartial([vector])[0],
        reduced,
        byColumns,
        cut: { chunk, chunks, storeStride: chunkStride },
        loads,
        stores: [{ operand: { base: scratch(partial), dtype: type, strides: [] }, value: acc(body.type) }],
        body,
      },
      kernel,
      ctx,
    )
    const second: Reduction = {
      kept: reduction.kept.map((d) => ({ ...d, loads: [...d.loads, keptStrides.get(d)!] })),
      reduced: [{ size: chunks, loads: [...loads.map(() => 0), chunkStride], stores: one.stores }],
      loads: [...loads, { base: scratch(partial), dtype: type, strides: [] }],
      stores,
      body: load(loads.length, body.type),
    }
    return [...first, ...lower(second, kernel, ctx)]
  }
  return emitNest({ keptOuter, vector, reduced, byColumns, cut: null, loads, stores, body }, kernel, ctx)
}

/** Row-major strides of dimensions, the innermost one's being `inner`. */
function strideOf(dims: readonly Dim[], inner: number): Map<Dim, number> {
  const strides = new Map<Dim, number>()
  let stride = inner
  for (const d of dims.toReversed()) {
    strides.set(d, stride)
    stride *= d.size
  }
  return strides
}

interface NestPlan {
  readonly keptOuter: readonly Dim[]
  readonly vector: Dim
  readonly reduced: readonly Dim[]
  readonly byColumns: boolean
  readonly cut: { readonly chunk: number; readonly chunks: number; readonly storeStride: number } | null
  readonly loads: readonly LoopOperand[]
  readonly stores: readonly { readonly operand: LoopOperand; readonly value: Expr }[]
  readonly body: Expr
}

/** One dispatch. Loop dimensions: kept ones, the chunks if cut, the column tiles; then the reduced ones; the vector last. */
function emitNest(
  plan: NestPlan,
  kernel: Pick<ReduceKernel, 'combine' | 'scalars'>,
  ctx: Parameters<Lower>[1],
): Dispatch[] {
  const { vector, byColumns, cut, body } = plan
  const cutDim = cut && (plan.reduced[0] ?? vector)
  const outer: Dim[] = [...plan.keptOuter]
  if (cut && cutDim)
    outer.push({
      size: cut.chunks,
      loads: cutDim.loads.map((s) => s * cut.chunk),
      stores: [cut.storeStride],
    })
  if (byColumns)
    outer.push({
      size: Math.ceil(vector.size / TILE),
      loads: vector.loads.map((s) => s * TILE),
      stores: vector.stores.map((s) => s * TILE),
    })
  const nest = [...outer, ...plan.reduced, vector]
  const bodyLoads = loadsOf(body)
  const storeLoads = [...new Set(plan.stores.flatMap((s) => loadsOf(s.value)))]

  const words = new ArgumentWords()
  const operands = plan.loads.map((o, i): LoopOperand | null =>
    bodyLoads.includes(i) || storeLoads.includes(i) ? { ...o, strides: nest.map((d) => d.loads[i]) } : null,
  )
  const targets = plan.stores.map(
    (s, i): LoopOperand => ({ ...s.operand, strides: nest.map((d) => d.stores[i]) }),
  )
  const structure: ReduceStructure = {
    features: ctx.features,
    combine: kernel.combine,
    body,
    values: plan.stores.map((s) => s.value),
    length: words.add(vector.size),
    chunk: cut ? words.add(cut.chunk) : null,
    chunkIndex: plan.keptOuter.length,
    outerSizes: outer.map((d) => words.add(d.size)),
    reducedSizes: plan.reduced.map((d) => words.add(d.size)),
    scalars: addScalars(words, kernel.scalars),
    loads: operands.map((o) => o && addOperand(words, o)),
    stores: targets.map((o) => addOperand(words, o)),
    bodyLoads,
    storeLoads,
  }
  const last = nest.length - 1
  const units = product(outer)
  const perUnit =
    ((product(plan.reduced) / (cut?.chunks ?? 1)) * vector.size) /
    (byColumns ? Math.ceil(vector.size / TILE) : 1)
  const unitCost = perUnit * elementCost(body, operands, last) + 15
  return [
    {
      codeKey: [
        `${byColumns ? 'columns' : 'rows'}${outer.length}.${plan.reduced.length}${cut ? 'c' : ''}${ctx.features.relaxedSimd ? 'r' : ''}`,
        `${kernel.combine}.${body.id}`,
        operands.map((o) => (o ? operandKey(o, last) : '')).join(),
        kernel.scalars.map((s) => s.type).join(),
        targets.map((o, i) => `${plan.stores[i].value.id}>${operandKey(o, last)}`).join(),
      ].join('|'),
      emit: () => (byColumns ? emitColumns(structure) : emitRows(structure)),
      args: words.words satisfies ArgWord[],
      units,
      grain: Math.max(1, Math.round(10_000 / unitCost)),
      cost: units * unitCost,
      localBytes: byColumns ? LOCAL_BYTES : 0,
    },
  ]
}

/** Nanoseconds per element on one thread, roughly. */
function elementCost(body: Expr, operands: readonly (LoopOperand | null)[], vectorDim: number): number {
  let cost = 0.1 + 0.08 * countOps([body])
  for (const o of operands) {
    if (!o || o.dtype === 'address') continue
    const stride = o.strides[vectorDim]
    cost += stride === 0 ? 0 : stride === 1 ? 0.06 * dtypeInfo(o.dtype).deviceBytes : 1
  }
  return cost
}
