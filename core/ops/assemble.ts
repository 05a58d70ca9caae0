/** Results put together from pieces: concatenation and stacking. Pieces are computed straight into their place. */
import { promoteTypes } from '../dtype.ts'
import type { AssembleOp } from '../op.ts'
import { formatShape, normalizeDim } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { contiguousView, sliceView, type View } from '../view.ts'
import { cast } from './cast.ts'
import { full } from './define.ts'
import { narrow, slice, unsqueeze } from './views.ts'

const catOp: AssembleOp = {
  kind: 'assemble',
  name: 'cat',
  fill: false,
  regions: (attrs, inputShapes, shape) => {
    const dim = attrs.dim as number
    let at = 0
    return inputShapes.map((s) => sliceView(contiguousView(shape), dim, (at += s[dim]) - s[dim], 1, s[dim]))
  },
  grad: ({ dy, inputs, attrs, needs }) => {
    const dim = attrs.dim as number
    let at = 0
    return inputs.map((x, i) => {
      const start = (at += x.shape[dim]) - x.shape[dim]
      return needs[i] ? narrow(dy, dim, start, x.shape[dim]) : null
    })
  },
}

/** Start, step and number of the positions that are taken of each dimension. */
export type Ranges = readonly (readonly [start: number, step: number, length: number])[]

const within = (view: View, ranges: Ranges): View =>
  ranges.reduce((v, [start, step, length], d) => sliceView(v, d, start, step, length), view)

const putOp: AssembleOp = {
  kind: 'assemble',
  name: 'put',
  fill: false,
  regions: (attrs, _, shape) => {
    const whole = contiguousView(shape)
    return [whole, within(whole, attrs.ranges as unknown as Ranges)]
  },
  grad: ({ dy, attrs, needs }) => {
    const ranges = attrs.ranges as unknown as Ranges
    const part = () =>
      ranges.reduce(
        (g, [start, step, length], d) => slice(g, d, start, start + (length - 1) * step + 1, step),
        dy,
      )
    const lengths = ranges.map(([, , length]) => length)
    return [needs[0] ? put(dy, full(lengths, 0), ranges) : null, needs[1] ? part() : null]
  },
}

/** `x` with the elements in `ranges` replaced by `part`, which has their number in each dimension. */
export const put = (x: Tensor, part: Tensor, ranges: Ranges): Tensor =>
  apply(putOp, [x, part], x.shape, x.dtype, { ranges })

/** The dimension, or options that hold it; 0 unless given. */
type Dim = number | { dim?: number }
const dimOf = (where: Dim): number => (typeof where === 'number' ? where : (where.dim ?? 0))

/** Tensors joined along an existing dimension; the other sizes must be equal. */
export function cat(tensors: readonly Tensor[], where: Dim = 0): Tensor {
  if (tensors.length === 0) throw new RangeError('[cat] needs at least one tensor')
  const first = tensors[0]
  if (first.ndim === 0) throw new RangeError('[cat] tensors without dimensions cannot be joined: use stack')
  const dim = dimOf(where)
  const d = normalizeDim(dim, first.ndim, 'cat')
  for (const [i, t] of tensors.entries())
    if (t.ndim !== first.ndim || t.shape.some((s, k) => k !== d && s !== first.shape[k]))
      throw new RangeError(
        `[cat] shapes ${formatShape(first.shape)} and ${formatShape(t.shape)} (tensor ${i}) differ outside dim ${dim}`,
      )
  const dtype = tensors.map((t) => t.dtype).reduce((a, b) => promoteTypes(a, b), 'bool')
  const size = tensors.reduce((n, t) => n + t.shape[d], 0)
  return apply(
    catOp,
    tensors.map((t) => cast(t, dtype)),
    first.shape.with(d, size),
    dtype,
    { dim: d },
  )
}

/** Tensors of one shape joined along a new dimension. */
export const stack = (tensors: readonly Tensor[], where: Dim = 0): Tensor => {
  const dim = dimOf(where)
  if (tensors.length === 0) throw new RangeError('[stack] needs at least one tensor')
  return cat(
    tensors.map((t) => unsqueeze(t, dim)),
    dim,
  )
}
