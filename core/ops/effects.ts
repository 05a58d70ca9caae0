/** Writing to State. Effects run once, in the order in which they were made, with the next evaluation. */
import type { DeviceName } from '../backend.ts'
import type { DType } from '../dtype.ts'
import { deviceOf, type Node, type Value, type Write } from '../graph.ts'
import { modes } from '../modes.ts'
import type { AssignOp, Attrs, UpdateOp } from '../op.ts'
import { formatShape, normalizeDim, type Shape, sameShape } from '../shape.ts'
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
  for (const node of pending) for (const w of node.writes) if (w.state === state) w.isDropped = true
  pending = pending.filter((n) => !n.writes.every((w) => w.isDropped))
}

/** The next version of a State, about to be written. */
const nextWrite = (state: State): Write => ({ state, version: state.nextVersion(), isDropped: false })

/** Records a node that writes States, output by output. */
export function recordWrites(
  op: AssignOp | UpdateOp,
  inputs: readonly Value[],
  attrs: Attrs,
  scalars: readonly number[],
  states: readonly State[],
): void {
  for (const state of states) state.behind?.catchUp()
  const node = record(op, inputs, attrs, scalars, states, states.map(nextWrite))
  for (const [i, state] of states.entries()) state.advance(node.outputs[i])
  pending.push(node)
}

/** Makes `x` the State's next version; reads from here on see it. The write happens with the next evaluation. */
export function assign(state: State, x: Tensor): Value {
  if (!sameShape(state.shape, x.shape))
    throw new RangeError(
      `[assign] ${state.name} has shape ${formatShape(state.shape)}, not ${formatShape(x.shape)}`,
    )
  return write(state, x, {}, [])
}

function write(state: State, x: Tensor, attrs: Attrs, scalars: readonly number[]): Value {
  const source = cast(x, state.dtype)
  // what a slice does not touch stays, so the old version is an input in all but name: order comes from the plan
  recordWrites(assignOp, [source.value], attrs, scalars, [state])
  return state.peek
}

/**
 * Writes `x` into positions `start, start + 1, ...` of one dimension of a State, in place. `start` is a slot: another position
 * is the same plan, so a KV cache grows without planning anew.
 */
export function assignSlice(state: State, x: Tensor, dim: number, start: number): Value {
  const d = normalizeDim(dim, state.shape.length, 'assignSlice')
  if (!sameShape(state.shape.with(d, x.shape[d]), x.shape))
    throw new RangeError(
      `[assignSlice] ${formatShape(x.shape)} does not fit ${state.name} ${formatShape(state.shape)} outside dim ${dim}`,
    )
  if (start < 0 || start + x.shape[d] > state.shape[d])
    throw new RangeError(
      `[assignSlice] ${x.shape[d]} positions from ${start} do not fit into dim ${dim} of size ${state.shape[d]} of ${state.name}`,
    )
  return write(state, x, { dim: d }, [start])
}

const assignRowsOp: AssignOp = { kind: 'assign', name: 'assignRows' }

/**
 * Writes row n of `x` [N, D] into row `ids[n]` of a State [V, D], in place; the other rows are not touched. Ids outside are
 * skipped, those inside must differ from each other.
 */
export function assignRows(state: State, x: Tensor, ids: Tensor): void {
  const [, width] = state.shape
  if (state.shape.length !== 2 || !sameShape(x.shape, [ids.numel, width]) || ids.dtype !== 'int32')
    throw new RangeError(
      `[assignRows] rows ${formatShape(x.shape)} at ${ids.dtype} ids ${formatShape(ids.shape)} do not fit ${state.name} ${formatShape(state.shape)}`,
    )
  recordWrites(assignRowsOp, [cast(x, state.dtype).value, ids.value], { rows: true }, [], [state])
}

/** A tensor whose contents are a State: in-place methods write it. Base of Parameter and of buffers. */
export class StateTensor extends Tensor {
  readonly state: State

  constructor(state: State) {
    super(state.peek)
    this.state = state
  }

  override get value(): Value {
    return this.state.current
  }

  // what follows needs no elements, so rows that are behind may stay so

  override get shape(): Shape {
    return this.state.shape
  }

  override get dtype(): DType {
    return this.state.dtype
  }

  override get device(): DeviceName | null {
    return deviceOf(this.state.peek)
  }

  override get requiresGrad(): boolean {
    return this.state.peek.requiresGrad
  }

  override rebind(value: Value): void {
    if (modes().grad && this.requiresGrad)
      throw new Error(`[assign] ${this.state.name} requires a gradient: change it inside noGrad(() => ...)`)
    assign(this.state, new Tensor(value))
  }
}
