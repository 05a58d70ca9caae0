/** Reading and adding at positions that other tensors hold. */
import { computeDType } from '../dtype.ts'
import { hostValue, type Value } from '../graph.ts'
import { modes, noGrad } from '../modes.ts'
import type { CallOp, ViewOp } from '../op.ts'
import { formatShape, normalizeDim, type Shape } from '../shape.ts'
import { apply, record, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { positionsAlong } from './create.ts'
import { method } from './define.ts'
import { StateTensor } from './effects.ts'
import { expand, permute, reshape, select, slice, unsqueeze } from './views.ts'
import { where } from './where.ts'

const gatherRowsOp: CallOp = {
  kind: 'call',
  name: 'gatherRows',
  call: 'gatherRows',
  scalarTypes: () => [],
  grad: ({ dy, inputs: [table, ids] }) => [scatterAddRows(dy, ids, table.shape[0]), null],
}

const scatterAddRowsOp: CallOp = {
  kind: 'call',
  name: 'scatterAddRows',
  call: 'scatterAddRows',
  scalarTypes: () => [],
  grad: ({ dy, inputs: [, ids] }) => [takeRows(dy, ids), null],
}

/** table [V, D], ids int32 [N] -> [N, D]; an id outside gives NaN. */
export function takeRows(table: Tensor, ids: Tensor): Tensor {
  return apply(gatherRowsOp, [table, ids], [ids.shape[0], table.shape[1]], 'float32')
}

/** Sums rows of src [N, D] into row ids[n] of a zero [rows, D], in the order of N; ids outside are skipped. */
export function scatterAddRows(src: Tensor, ids: Tensor, rows: number): Tensor {
  if (src.ndim !== 2 || ids.ndim !== 1 || ids.shape[0] !== src.shape[0])
    throw new RangeError(
      `[scatterAddRows] needs src [N,D] and ids [N], not ${formatShape(src.shape)} and ${formatShape(ids.shape)}`,
    )
  return apply(scatterAddRowsOp, [cast(src, 'float32'), cast(ids, 'int32')], [rows, src.shape[1]], 'float32')
}

/** The elements of int32 ids that are known when this is called, whatever their shape; null for computed ones. */
export function hostIds(value: Value): ArrayLike<number> | null {
  let v = value
  while (!v.storage && v.node?.op.name === 'reshape') v = v.node.inputs[0]
  return v.storage?.kind === 'host' ? v.storage.data : null
}

/** Throws for ids on the host that are out of range; ids computed on a device give NaN rows instead. */
function checkIds(op: string, ids: Tensor, rows: number): void {
  const storage = ids.value.storage
  if (storage?.kind !== 'host') return
  for (const id of storage.data)
    if (id < 0 || id >= rows) throw new RangeError(`[${op}] index ${id} is out of range for ${rows} rows`)
}

/** Rows that were looked up without recording it: their gradient goes to the table, by ids that may differ. */
const lookedUpOp: ViewOp = {
  kind: 'view',
  name: 'lookedUp',
  apply: (view) => view,
  grad: ({ dy, inputs: [, ids, table] }) => [null, null, scatterAddRows(dy, ids, table.shape[0])],
}

/** Ids with -1 in place of one; known ones stay known, so that gradients can be kept as rows. */
function without(ids: Tensor, id: number): Tensor {
  const known = hostIds(ids.value)
  if (!known) return where(ids.eq(id), -1, ids)
  return new Tensor(
    hostValue(
      Int32Array.from(known, (other) => (other === id ? -1 : other)),
      ids.shape,
      'int32',
    ),
  )
}

export interface EmbeddingOptions {
  /** An id whose row gets no gradient. */
  paddingIdx?: number | null
}

/**
 * Rows of a table by number: weight [V, D...], ids int [...] -> [..., D...]. The weight may be kept in float16 or bfloat16.
 * @throws RangeError for an id outside the table (where the ids are known when the op is called)
 */
export function embedding(ids: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  if (ids.dtype !== 'int32') throw new TypeError(`[embedding] ids must be int32, not ${ids.dtype}`)
  checkIds('embedding', ids, weight.shape[0])
  const width = weight.shape.slice(1)
  const rows = lookUp(reshape(ids, [ids.numel]), weight, options.paddingIdx ?? null)
  return reshape(rows, [...ids.shape, ...width])
}

/** Rows [N, D] of weight [V, D...]. */
function lookUp(ids: Tensor, weight: Tensor, paddingIdx: number | null): Tensor {
  const flat = (): Tensor => reshape(weight, [weight.shape[0], -1])
  const needsGrad = weight.requiresGrad && modes().grad
  const behind = needsGrad && weight instanceof StateTensor ? weight.state.behind : null
  const known = behind && hostIds(ids.value)
  if (!known && !(needsGrad && paddingIdx !== null)) return takeRows(flat(), ids)
  const table = known ? new Tensor((weight as StateTensor).state.peek) : flat()
  const rows = noGrad(() => (known ? behind!.rowsAt(known) : takeRows(table, ids)))
  const counting = paddingIdx === null ? ids : without(ids, paddingIdx)
  return apply(lookedUpOp, [rows, counting, table], rows.shape, 'float32')
}

/** Slices of `x` along `dim` at the positions in `index` (int32 [K]). */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  const d = normalizeDim(dim, x.ndim, 'indexSelect')
  if (index.ndim !== 1)
    throw new RangeError(`[indexSelect] index must have one dimension, not shape ${formatShape(index.shape)}`)
  checkIds('indexSelect', index, x.shape[d])
  if (x.dtype === 'bool') return cast(indexSelect(cast(x, 'int32'), dim, index), 'bool')
  if (x.dtype === 'int32') {
    // rows are taken as floats, which are exact up to 2^24 only
    const along = x.shape.map((_, i) => (i === d ? index.shape[0] : 1))
    return gather(x, d, expand(reshape(cast(index, 'int32'), along), x.shape.with(d, index.shape[0])))
  }
  const front = [d, ...x.shape.map((_, i) => i).filter((i) => i !== d)]
  const rows = permute(x, front)
  const taken = embedding(index, reshape(rows, rows.shape))
  return permute(
    taken,
    x.shape.map((_, i) => front.indexOf(i)),
  )
}

const gatherOp: CallOp = {
  kind: 'call',
  name: 'gather',
  call: 'gather',
  scalarTypes: () => [],
  grad: ({ dy, inputs: [x, index] }) => {
    // one-hot comparison with the positions: [R, K, C] is summed inside one kernel and never stored
    const hit = unsqueeze(index, 2).eq(positionsAlong([1, 1, x.shape[1]], 2))
    const spread = unsqueeze(dy, 2).where(hit, 0)
    return [index.shape[1] === 1 ? reshape(spread, x.shape) : spread.sum(1), null]
  },
}

/** Elements of `x` at positions along `dim`: `index` has x's sizes but for `dim`. */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  const d = normalizeDim(dim, x.ndim, 'gather')
  if (index.ndim !== x.ndim || index.shape.some((s, i) => i !== d && s !== x.shape[i]))
    throw new RangeError(
      `[gather] index ${formatShape(index.shape)} must have the sizes of ${formatShape(x.shape)} outside dim ${dim}`,
    )
  if (index.dtype !== 'int32') throw new TypeError(`[gather] index must be int32, not ${index.dtype}`)
  checkIds('gather', index, x.shape[d])
  const last = [...x.shape.map((_, i) => i).filter((i) => i !== d), d]
  const rows = (t: Tensor) => reshape(permute(t, last), [-1, t.shape[d]])
  const picked = pick(rows(x), rows(index))
  const moved = reshape(
    picked,
    last.map((i) => index.shape[i]),
  )
  return permute(
    moved,
    last.map((_, i) => last.indexOf(i)),
  )
}

function pick(x: Tensor, index: Tensor): Tensor {
  if (x.dtype === 'bool') return cast(pick(cast(x, 'int32'), index), 'bool')
  return apply(gatherOp, [cast(x, computeDType(x.dtype)), index], index.shape, computeDType(x.dtype))
}

const argmaxOp: CallOp = { kind: 'call', name: 'argmax', call: 'argmax', scalarTypes: () => [] }

/** Position of the largest element along `dim` (of the flattened tensor without it), the first of equals; int32. */
export function argmax(x: Tensor, dim?: number, options: { keepdim?: boolean } = {}): Tensor {
  if (dim === undefined) return reshape(argmax(reshape(x, [x.numel]), 0), [])
  const d = normalizeDim(dim, x.ndim, 'argmax')
  if (x.shape[d] === 0) throw new RangeError('[argmax] of no elements is undefined')
  const last = [...x.shape.map((_, i) => i).filter((i) => i !== d), d]
  const rows = reshape(permute(cast(x, 'float32'), last), [-1, x.shape[d]])
  const node = record(argmaxOp, [rows.value], {}, [], [{ shape: [rows.shape[0]], dtype: 'int32' }])
  return reshape(new Tensor(node.outputs[0]), options.keepdim ? x.shape.with(d, 1) : x.shape.toSpliced(d, 1))
}
export const argmin = (x: Tensor, dim?: number, options?: { keepdim?: boolean }): Tensor =>
  argmax(cast(x, 'float32').neg(), dim, options)

/** 1 at the position that each id names, 0 elsewhere: ids int32 [...] -> int32 [..., numClasses]. */
export const oneHot = (ids: Tensor, numClasses: number): Tensor =>
  unsqueeze(ids, -1)
    .eq(positionsAlong([...ids.shape, numClasses] as Shape, ids.ndim))
    .int()

/** One entry of an index: a position, a range `[start, end, step]` (each may be left out), a new axis, or positions. */
export type Index = number | readonly (number | undefined)[] | null | Tensor

/**
 * Indexing: numbers take a position and drop the dimension, arrays `[start, end, step]` are ranges (`[]` is all), `null` adds a
 * dimension, an int32 tensor with one dimension takes those positions. Missing trailing entries are all.
 */
export function at(x: Tensor, ...index: Index[]): Tensor {
  const tensors = index.filter((entry) => entry instanceof Tensor)
  if (tensors.length > 1)
    throw new RangeError(
      '[at] more than one tensor of positions: flatten the dimensions and index once, or use gather()',
    )
  let out = x
  let d = 0
  for (const entry of index) {
    if (entry !== null && d >= out.ndim)
      throw new RangeError(`[at] ${index.length} indices are too many for shape ${formatShape(x.shape)}`)
    if (entry === null) out = unsqueeze(out, d++)
    else if (typeof entry === 'number') out = select(out, d, entry)
    else if (entry instanceof Tensor) {
      if (entry.dtype === 'bool')
        throw new TypeError(
          '[at] a bool index has a size that is only known after computing: use where() or maskedFill()',
        )
      out = indexSelect(out, d++, entry)
    } else out = slice(out, d++, entry[0] ?? 0, entry[1] ?? Number.MAX_SAFE_INTEGER, entry[2] ?? 1)
  }
  return out
}

declare module '../tensor.ts' {
  interface Tensor {
    indexSelect(dim: number, index: Tensor): Tensor
    gather(dim: number, index: Tensor): Tensor
    argmax(dim?: number, options?: { keepdim?: boolean }): Tensor
    argmin(dim?: number, options?: { keepdim?: boolean }): Tensor
    at(...index: Index[]): Tensor
  }
}
method('indexSelect', indexSelect)
method('gather', gather)
method('argmax', argmax)
method('argmin', argmin)
method('at', at)
