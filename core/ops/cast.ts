import { computeDType, type DType } from '../dtype.ts'
import type { MapOp } from '../op.ts'
import { scalarType } from '../op.ts'
import { apply, type Tensor } from '../tensor.ts'

const castOp: MapOp = {
  kind: 'map',
  name: 'cast',
  expr: ([x], _, attrs) => x.to(scalarType(attrs.dtype as DType)),
  grad: ({ dy }) => [dy],
}

/**
 * The tensor in another dtype of compute; the same handle's value where it has it already. float32 to int32 truncates.
 * @throws for float16 and bfloat16, which are storage for weights only
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x
  if (computeDType(dtype) !== dtype)
    throw new TypeError(
      `[cast] ${dtype} is storage for weights and not computed in: choose it when loading a model`,
    )
  return apply(castOp, [x], x.shape, dtype, { dtype })
}
