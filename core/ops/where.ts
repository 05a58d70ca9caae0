import { promoteTypes } from '../dtype.ts'
import type { MapOp } from '../op.ts'
import { broadcastShapes } from '../shape.ts'
import { apply, scalarResultType, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { full, method } from './define.ts'

const whereOp: MapOp = {
  kind: 'map',
  name: 'where',
  expr: ([c, a, b]) => c.select(a, b),
  grad: ({ dy, inputs: [c], needs }) => [
    null,
    needs[1] ? where(c, dy, 0) : null,
    needs[2] ? where(c, 0, dy) : null,
  ],
}

/** `a` where the condition (bool) holds, `b` elsewhere; all three broadcast, numbers are allowed for both values. */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  if (typeof a === 'number' && typeof b === 'number') return where(condition, full([], a), b)
  const known = a instanceof Tensor ? a : (b as Tensor)
  const typeOf = (x: Tensor | number) => (typeof x === 'number' ? scalarResultType(known, x) : x.dtype)
  const dtype = promoteTypes(typeOf(a), typeOf(b))
  const lift = (x: Tensor | number) =>
    typeof x === 'number' ? full([], dtype === 'bool' ? Boolean(x) : x, { dtype }) : cast(x, dtype)
  const [x, y] = [lift(a), lift(b)]
  return apply(
    whereOp,
    [cast(condition, 'bool'), x, y],
    broadcastShapes('where', condition.shape, x.shape, y.shape),
    dtype,
  )
}

/** `value` where the mask (bool, broadcastable) holds, the tensor's own elements elsewhere. */
export const maskedFill = (x: Tensor, mask: Tensor, value: number): Tensor => where(mask, value, x)

declare module '../tensor.ts' {
  interface Tensor {
    /** This tensor where the condition holds, `other` elsewhere. */
    where(condition: Tensor, other: Tensor | number): Tensor
    maskedFill(mask: Tensor, value: number): Tensor
  }
}
method('where', (x, condition: Tensor, other: Tensor | number) => where(condition, x, other))
method('maskedFill', maskedFill)
