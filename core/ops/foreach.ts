/** One node for many tensors: what optimizers do to every parameter, in the manner of PyTorch's foreach functions. */
import type { Value } from '../graph.ts'
import type { Attrs, ReduceEachOp, UpdateOp } from '../op.ts'
import { formatShape, sameShape } from '../shape.ts'
import type { State } from '../state.ts'
import { apply, type Tensor } from '../tensor.ts'
import { recordWrites } from './effects.ts'

/** States that are updated together, and the tensors of their shape that this takes besides. */
export interface UpdateTuple {
  readonly states: readonly State[]
  readonly inputs: readonly Tensor[]
}

/**
 * Writes new versions of all States, tuple by tuple and elementwise. Every tuple has as many States and inputs as the
 * first; `shared` are tensors of one element. All are float32.
 */
export function updateEach(
  op: UpdateOp,
  tuples: readonly UpdateTuple[],
  shared: readonly Tensor[],
  scalars: readonly number[],
  attrs: Attrs = {},
): void {
  if (tuples.length === 0) return
  const [{ states, inputs }] = tuples
  const values: Value[] = []
  const written: State[] = []
  for (const tuple of tuples) {
    const [first] = tuple.states
    const check = ({ shape }: State | Tensor) => {
      if (!sameShape(shape, first.shape))
        throw new RangeError(
          `[${op.name}] ${formatShape(shape)} does not fit ${first.name} ${formatShape(first.shape)}`,
        )
    }
    for (const s of tuple.states) {
      check(s)
      values.push(s.current)
      written.push(s)
    }
    for (const x of tuple.inputs) {
      check(x)
      values.push(x.value)
    }
  }
  for (const x of shared) values.push(x.value)
  const sizes = { states: states.length, inputs: inputs.length, shared: shared.length }
  recordWrites(op, values, { ...attrs, ...sizes }, scalars, written)
}

/** One number of each tensor: [number of tensors]. */
export const reduceEach = (
  op: ReduceEachOp,
  tensors: readonly Tensor[],
  scalars: readonly number[] = [],
): Tensor => apply(op, tensors, [tensors.length], 'float32', {}, scalars)
