/**
 * Cuts pending work where ops over many tensors begin and end. What an optimizer does to all parameters is the same plan at every
 * step, whatever the lengths of the batch: a plan of its own is found again, and a new length plans forward and backward alone.
 */
import { dtypeInfo } from '../dtype.ts'
import type { Node, Value } from '../graph.ts'
import { numel } from '../shape.ts'
import { collect, computedInputs } from './graph-key.ts'

/** Work for one plan: what is to be computed, and which effects are to be run. */
export interface Segment {
  readonly targets: readonly Value[]
  readonly effects: readonly Node[]
}

/** Tensors from which an op is worth a cut. */
const MANY = 16
/** What goes from one plan to the next is kept like any evaluated result, so it must be small. In bytes. */
const MOST_CARRIED = 2 ** 20

const isOverMany = ({ op, inputs }: Node): boolean =>
  (op.kind === 'update' || op.kind === 'reduceEach') && inputs.length >= MANY

/** What is in memory behind a view, which any plan can see for itself; but a view of a State is of the contents of its time. */
function behindViews(value: Value): Value {
  let base = value
  while (!base.storage && base.node?.op.kind === 'view') base = base.node.inputs[0]
  const isState = base.storage ? base.storage.kind === 'state' : base.node && base.node.writes.length > 0
  return isState ? value : base
}

/** The work in order, as one segment or as up to three: before, from the first to the last op over many tensors, and after. */
export function segments(targets: readonly Value[], effects: readonly Node[]): readonly Segment[] {
  const whole = [{ targets, effects }]
  if (!effects.some(isOverMany)) return whole
  const nodes = collect(targets, effects)
  const from = nodes.find(isOverMany)!.id
  const to = nodes.findLast(isOverMany)!.id
  const segmentOf = ({ id }: Node): number => (id < from ? 0 : id <= to ? 1 : 2)

  const carried = new Set<Value>()
  let bytes = 0
  for (const node of nodes)
    for (let i = computedInputs(node) - 1; i >= 0; i--) {
      const v = behindViews(node.inputs[i])
      if (v.storage || !v.node || carried.has(v) || segmentOf(v.node) === segmentOf(node)) continue
      const write = v.node.writes[v.index]
      // a write is in its State by then, unless the State was given other contents
      if (write && !write.isDropped) continue
      carried.add(v)
      bytes += numel(v.shape) * dtypeInfo(v.dtype).deviceBytes
      if (write || bytes > MOST_CARRIED) return whole
    }

  const parts = [0, 1, 2].map(() => ({ targets: [] as Value[], effects: [] as Node[] }))
  for (const effect of effects) parts[segmentOf(effect)].effects.push(effect)
  for (const v of new Set([...targets, ...carried])) if (v.node) parts[segmentOf(v.node)].targets.push(v)
  return parts.filter((p) => p.targets.length + p.effects.length > 0)
}
