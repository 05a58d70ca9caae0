/** Ops that only say where elements are: they never copy by themselves. */
import type { AssembleOp, Attrs, ViewOp } from '../op.ts'
import { formatShape, normalizeDim, numel, type Shape } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { contiguousView, expandView, permuteView, reshapeView, sliceView } from '../view.ts'
import { method } from './define.ts'

const numbers = (attrs: Attrs, name: string) => attrs[name] as readonly number[]

const reshapeOp: ViewOp = {
  kind: 'view',
  name: 'reshape',
  apply: (view, _, shape) => reshapeView(view, shape),
  grad: ({ dy, inputs: [x] }) => [reshape(dy, x.shape)],
}

/** The same elements in row-major order under other sizes; one size may be -1. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const wanted = [...shape]
  const open = wanted.indexOf(-1)
  const known = wanted.reduce((n, s) => (s === -1 ? n : n * s), 1)
  if (open >= 0 && known > 0) wanted[open] = x.numel / known
  if (wanted.some((s) => !Number.isInteger(s) || s < 0) || numel(wanted) !== x.numel)
    throw new RangeError(
      `[reshape] shape ${formatShape(x.shape)} (${x.numel} elements) does not fit into ${formatShape(shape)}`,
    )
  if (wanted.length === x.ndim && wanted.every((s, d) => s === x.shape[d])) return x
  return apply(reshapeOp, [x], wanted, x.dtype)
}

const permuteOp: ViewOp = {
  kind: 'view',
  name: 'permute',
  apply: (view, attrs) => permuteView(view, numbers(attrs, 'dims')),
  grad: ({ dy, attrs }) => {
    const dims = numbers(attrs, 'dims')
    return [
      permute(
        dy,
        dims.map((_, d) => dims.indexOf(d)),
      ),
    ]
  },
}

/** Dimensions in another order: dimension d of the result is dimension `dims[d]` of `x`. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const order = dims.map((d) => normalizeDim(d, x.ndim, 'permute'))
  if (order.length !== x.ndim || new Set(order).size !== x.ndim)
    throw new RangeError(`[permute] dims [${dims}] are not an order of the ${x.ndim} dimensions`)
  if (order.every((d, i) => d === i)) return x
  return apply(
    permuteOp,
    [x],
    order.map((d) => x.shape[d]),
    x.dtype,
    { dims: order },
  )
}

/** Whether a tensor is the result of `permute`: its elements lie in another order than its dimensions say. */
export const isPermuted = (x: Tensor): boolean => x.value.node?.op === permuteOp

/** Two dimensions swapped. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const order = x.shape.map((_, d) => d)
  const a = normalizeDim(dim0, x.ndim, 'transpose')
  const b = normalizeDim(dim1, x.ndim, 'transpose')
  ;[order[a], order[b]] = [order[b], order[a]]
  return permute(x, order)
}

const expandOp: ViewOp = {
  kind: 'view',
  name: 'expand',
  apply: (view, _, shape) => expandView(view, shape),
  grad: ({ dy, inputs: [x] }) => [sumTo(dy, x.shape)],
}

/** Sizes of 1 stretched and leading dimensions added, without copying; -1 keeps a size. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const lead = shape.length - x.ndim
  const wanted = shape.map((s, d) => (s === -1 && d >= lead ? x.shape[d - lead] : s))
  if (
    lead < 0 ||
    wanted.some((s, d) => s < 0 || (d >= lead && x.shape[d - lead] !== 1 && x.shape[d - lead] !== s))
  )
    throw new RangeError(`[expand] shape ${formatShape(x.shape)} does not expand to ${formatShape(shape)}`)
  if (lead === 0 && wanted.every((s, d) => s === x.shape[d])) return x
  return apply(expandOp, [x], wanted, x.dtype)
}

/** Sums a broadcast tensor back to the shape it came from. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const lead = x.ndim - shape.length
  const dims = x.shape.flatMap((s, d) => (d < lead || (shape[d - lead] === 1 && s !== 1) ? [d] : []))
  return dims.length ? reshape(x.sum(dims, { keepdim: true }), shape) : reshape(x, shape)
}

const sliceOp: ViewOp = {
  kind: 'view',
  name: 'slice',
  apply: (view, attrs, shape) =>
    sliceView(
      view,
      attrs.dim as number,
      attrs.start as number,
      attrs.step as number,
      shape[attrs.dim as number],
    ),
  grad: ({ dy, inputs: [x], attrs }) => {
    const { dim, start, step } = attrs as { dim: number; start: number; step: number }
    return [pad(dy, dim, start, step, x.shape[dim])]
  },
}

/** The dimension counted from the front; a tensor without dimensions has none to take a part of. */
function existingDim(dim: number, rank: number, op: string): number {
  if (rank === 0) throw new RangeError(`[${op}] a tensor without dimensions has no parts: use it as it is`)
  return normalizeDim(dim, rank, op)
}

/** Elements `start, start + step, ...` below `end` of one dimension; negative positions count from the end, and both ends are clamped. */
export function slice(x: Tensor, dim: number, start = 0, end = Number.MAX_SAFE_INTEGER, step = 1): Tensor {
  const d = existingDim(dim, x.ndim, 'slice')
  if (!Number.isInteger(step) || step < 1)
    throw new RangeError(`[slice] step ${step} must be a positive integer`)
  const size = x.shape[d]
  const clampTo = (i: number) => Math.min(size, Math.max(0, i < 0 ? i + size : i))
  const from = clampTo(start)
  const length = Math.max(0, Math.ceil((clampTo(end) - from) / step))
  if (length === size && step === 1) return x
  return apply(sliceOp, [x], x.shape.with(d, length), x.dtype, { dim: d, start: from, step })
}

const padOp: AssembleOp = {
  kind: 'assemble',
  name: 'pad',
  fill: true,
  regions: (attrs, [input], shape) => {
    const { dim, start, step } = attrs as { dim: number; start: number; step: number }
    return [sliceView(contiguousView(shape), dim, start, step, input[dim])]
  },
  grad: ({ dy, inputs: [x], attrs }) => {
    const { dim, start, step } = attrs as { dim: number; start: number; step: number }
    return [slice(dy, dim, start, start + (x.shape[dim] - 1) * step + 1, step)]
  },
}

/** The opposite of `slice`: elements at `start, start + step, ...` of a dimension of size `size`, zeros between. */
export function pad(x: Tensor, dim: number, start: number, step: number, size: number): Tensor {
  return apply(padOp, [x], x.shape.with(dim, size), x.dtype, { dim, start, step })
}

/** `length` elements of one dimension, from `start`. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const d = existingDim(dim, x.ndim, 'narrow')
  const from = start < 0 ? start + x.shape[d] : start
  if (from < 0 || length < 0 || from + length > x.shape[d])
    throw new RangeError(
      `[narrow] ${length} elements from ${start} do not fit into dim ${dim} of size ${x.shape[d]}`,
    )
  return slice(x, d, from, from + length)
}

/** One position of a dimension, which is removed. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  const d = existingDim(dim, x.ndim, 'select')
  const at = index < 0 ? index + x.shape[d] : index
  if (at < 0 || at >= x.shape[d])
    throw new RangeError(`[select] index ${index} is out of range for dim ${dim} of size ${x.shape[d]}`)
  return reshape(narrow(x, d, at, 1), x.shape.toSpliced(d, 1))
}

export function unsqueeze(x: Tensor, dim: number): Tensor {
  const d = normalizeDim(dim, x.ndim + 1, 'unsqueeze')
  return reshape(x, x.shape.toSpliced(d, 0, 1))
}

/** Without dimensions of size 1: all of them, or those in `dim` (others are left as they are). */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  const dims =
    dim === undefined
      ? x.shape.map((_, d) => d)
      : (typeof dim === 'number' ? [dim] : dim).map((d) => normalizeDim(d, x.ndim, 'squeeze'))
  return reshape(
    x,
    x.shape.filter((s, d) => s !== 1 || !dims.includes(d)),
  )
}

export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  if (x.ndim === 0) return reshape(x, [1])
  const from = normalizeDim(startDim, x.ndim, 'flatten')
  const to = normalizeDim(endDim, x.ndim, 'flatten')
  if (from > to) throw new RangeError(`[flatten] startDim ${startDim} comes after endDim ${endDim}`)
  return reshape(x, [...x.shape.slice(0, from), numel(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)])
}

/** Pieces of `size` along a dimension (the last may be smaller), or of the given sizes. */
export function split(x: Tensor, size: number | readonly number[], dim = 0): Tensor[] {
  const d = normalizeDim(dim, x.ndim, 'split')
  const total = x.shape[d]
  if (typeof size === 'number' && !(size > 0)) throw new RangeError(`[split] size ${size} must be positive`)
  const sizes =
    typeof size === 'number'
      ? Array.from({ length: Math.ceil(total / size) }, (_, i) => Math.min(size, total - i * size))
      : size
  if (sizes.reduce((a, b) => a + b, 0) !== total)
    throw new RangeError(`[split] sizes [${sizes}] do not add up to ${total} (dim ${dim})`)
  let at = 0
  return sizes.map((s) => narrow(x, d, (at += s) - s, s))
}

/** `chunks` pieces of equal size along a dimension (the last may be smaller). */
export const chunk = (x: Tensor, chunks: number, dim = 0): Tensor[] =>
  split(x, Math.ceil(x.shape[normalizeDim(dim, x.ndim, 'chunk')] / chunks), dim)

declare module '../tensor.ts' {
  interface Tensor {
    reshape(shape: Shape): Tensor
    /** PyTorch's name for `reshape`: there are no views that share memory here. */
    view(shape: Shape): Tensor
    permute(dims: readonly number[]): Tensor
    transpose(dim0: number, dim1: number): Tensor
    /** The matrix transposed. */
    t(): Tensor
    expand(shape: Shape): Tensor
    slice(dim: number, start?: number, end?: number, step?: number): Tensor
    narrow(dim: number, start: number, length: number): Tensor
    select(dim: number, index: number): Tensor
    unsqueeze(dim: number): Tensor
    squeeze(dim?: number | readonly number[]): Tensor
    flatten(startDim?: number, endDim?: number): Tensor
    split(size: number | readonly number[], dim?: number): Tensor[]
    chunk(chunks: number, dim?: number): Tensor[]
  }
}
method('reshape', reshape)
method('view', reshape)
method('permute', permute)
method('transpose', transpose)
method('t', (x) => transpose(x, 0, 1))
method('expand', expand)
method('slice', slice)
method('narrow', narrow)
method('select', select)
method('unsqueeze', unsqueeze)
method('squeeze', squeeze)
method('flatten', flatten)
method('split', split)
method('chunk', chunk)
