/** Writing to State. Effects run once, in the order in which they were made, with the next evaluation. */
import type { Node, Value } from '../graph.ts'
import { modes } from '../modes.ts'
import type { AssignOp } from '../op.ts'
import { formatShape, sameShape } from '../shape.ts'
import type { State } from '../state.ts'
import { record, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'

const assignOp: AssignOp = { kind: 'assign', name: 'assign' }

let pending: Node[] = []

/** Effects that no evaluation has run yet, oldest first. */
export const pendingEffects = (): readonly Node[] => pending

export const effectsDone = (done: ReadonlySet<Node>): void => {
  pending = pending.filter((n) => !done.has(n))
}

/** Forgets pending writes to a State whose contents are about to be replaced from the host. */
export function dropEffects(state: State): void {
  pending = pending.filter((n) => n.state !== state)
}

/** Makes `x` the State's next version; reads from here on see it. The write happens with the next evaluation. */
export function assign(state: State, x: Tensor): Value {
  if (!sameShape(state.shape, x.shape))
    throw new RangeError(
      `[assign] ${state.name} has shape ${formatShape(state.shape)}, not ${formatShape(x.shape)}`,
    )
  const source = cast(x, state.dtype)
  const node = record(assignOp, [source.value], {}, [], [{ shape: state.shape, dtype: state.dtype }], {
    state,
    version: state.nextVersion(),
  })
  state.advance(node.outputs[0])
  pending.push(node)
  return state.current
}

/** A tensor whose contents are a State: in-place methods write it. Base of Parameter and of buffers. */
export class StateTensor extends Tensor {
  readonly state: State

  constructor(state: State) {
    super(state.current)
    this.state = state
  }

  override get value(): Value {
    return this.state.current
  }

  override rebind(value: Value): void {
    if (modes().grad && this.requiresGrad)
      throw new Error(`[assign] ${this.state.name} requires a gradient: change it inside noGrad(() => ...)`)
    assign(this.state, new Tensor(value))
  }
}
