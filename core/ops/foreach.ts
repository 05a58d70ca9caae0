/** One node for many tensors: what optimizers do to every parameter, in the manner of PyTorch's foreach functions. */
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
  for (const tuple of tuples)
    for (const x of [...tuple.states, ...tuple.inputs])
      if (!sameShape(x.shape, tuple.states[0].shape))
        throw new RangeError(
          `[${op.name}] ${formatShape(x.shape)} does not fit ${tuple.states[0].name} ${formatShape(tuple.states[0].shape)}`,
        )
  const values = tuples.flatMap((t) => [...t.states.map((s) => s.current), ...t.inputs.map((x) => x.value)])
  recordWrites(
    op,
    [...values, ...shared.map((x) => x.value)],
    { ...attrs, states: states.length, inputs: inputs.length, shared: shared.length },
    scalars,
    tuples.flatMap((t) => t.states),
  )
}

/** One number of each tensor: [number of tensors]. */
export const reduceEach = (
  op: ReduceEachOp,
  tensors: readonly Tensor[],
  scalars: readonly number[] = [],
): Tensor => apply(op, tensors, [tensors.length], 'float32', {}, scalars)
