/** Tensors from nothing: constants and ranges. They take no memory until something stores them. */
import type { DType } from '../dtype.ts'
import type { IotaOp } from '../op.ts'
import type { Shape } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { full } from './define.ts'
import { reshape } from './views.ts'

export { full }

export const zeros = (shape: Shape, options?: { dtype?: DType }): Tensor => full(shape, 0, options)
export const ones = (shape: Shape, options?: { dtype?: DType }): Tensor => full(shape, 1, options)
export const zerosLike = (x: Tensor): Tensor => full(x.shape, 0, { dtype: x.dtype })
export const onesLike = (x: Tensor): Tensor => full(x.shape, 1, { dtype: x.dtype })
export const fullLike = (x: Tensor, fillValue: number): Tensor => full(x.shape, fillValue, { dtype: x.dtype })

const iotaOp: IotaOp = { kind: 'iota', name: 'iota' }

/** `start, start + step, ...` below `end`; with one number: from 0 up to it. int32 for whole numbers, else float32. */
export function arange(
  start: number,
  end?: number,
  step = 1,
  options: { dtype?: 'int32' | 'float32' } = {},
): Tensor {
  const [from, to] = end === undefined ? [0, start] : [start, end]
  if (step === 0 || !Number.isFinite((to - from) / step))
    throw new RangeError(`[arange] step ${step} never gets from ${from} to ${to}`)
  const n = Math.max(0, Math.ceil((to - from) / step))
  const whole = Number.isInteger(from) && Number.isInteger(step)
  const dtype = options.dtype ?? (whole && Number.isInteger(to) ? 'int32' : 'float32')
  let x = apply(iotaOp, [], [n], 'int32')
  if (dtype === 'float32') x = x.float()
  if (step !== 1) x = x.mul(step)
  if (from !== 0) x = x.add(from)
  return x
}

/** The positions 0, 1, 2, ... of a dimension, shaped so that they broadcast along it. */
export const positionsAlong = (shape: Shape, dim: number): Tensor =>
  reshape(
    arange(shape[dim]),
    shape.map((s, d) => (d === dim ? s : 1)),
  )

/** The part of each matrix on and below (tril) or on and above (triu) a diagonal; zeros elsewhere. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  const keep = positionsAlong(x.shape, x.ndim - 1).le(positionsAlong(x.shape, x.ndim - 2).add(diagonal))
  return x.where(keep, 0)
}
export function triu(x: Tensor, diagonal = 0): Tensor {
  const keep = positionsAlong(x.shape, x.ndim - 1).ge(positionsAlong(x.shape, x.ndim - 2).add(diagonal))
  return x.where(keep, 0)
}
