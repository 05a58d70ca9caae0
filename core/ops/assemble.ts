/** Results put together from pieces: concatenation and stacking. Pieces are computed straight into their place. */
import { promoteTypes } from '../dtype.ts'
import type { AssembleOp } from '../op.ts'
import { formatShape, normalizeDim } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { contiguousView, sliceView } from '../view.ts'
import { cast } from './cast.ts'
import { narrow, unsqueeze } from './views.ts'

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

/** Tensors joined along an existing dimension; the other sizes must be equal. */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  if (tensors.length === 0) throw new RangeError('[cat] needs at least one tensor')
  const first = tensors[0]
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
export const stack = (tensors: readonly Tensor[], dim = 0): Tensor => {
  if (tensors.length === 0) throw new RangeError('[stack] needs at least one tensor')
  return cat(
    tensors.map((t) => unsqueeze(t, dim)),
    dim,
  )
}
