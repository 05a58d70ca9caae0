/** What a plan writes into States: which kernels may write one directly, and what must be read before. */
import type { Node, Value } from '../graph.ts'
import { numel } from '../shape.ts'
import type { State } from '../state.ts'
import { isContiguous } from '../view.ts'
import { type Analysis, throughViews } from './analyze.ts'
import { computedInputs, type PendingGraph } from './graph-key.ts'
import { NeedsStorage } from './loop.ts'

/** What a plan does with one State, in order. */
interface History {
  readonly writers: Node[]
  /** The value of each write. */
  readonly results: Value[]
  /** Leaves that stand for the State as it was before the plan. */
  readonly before: Value[]
  /** Values that are computed straight into the State, and the writers that they spare. */
  readonly direct: { value: Value; writer: Node }[]
}

/** Whether an assign leaves some of its State as it is. */
export const isPartial = ({ attrs }: Node): boolean => attrs.dim !== undefined || attrs.rows === true

export class Overwrites {
  readonly #analysis: Analysis
  readonly #externalOf: PendingGraph['externalOf']
  readonly #histories = new Map<State, History>()
  /** Values that are computed straight into a State. */
  readonly #targets = new Map<Value, State>()

  constructor(graph: PendingGraph, analysis: Analysis) {
    this.#analysis = analysis
    this.#externalOf = graph.externalOf
    for (const node of graph.nodes)
      for (let i = 0; i < node.writes.length; i++) {
        const { state, isDropped } = node.writes[i]
        if (isDropped) continue
        const history = this.#historyOf(state)
        history.writers.push(node)
        history.results.push(node.outputs[i])
      }
    if (this.#histories.size === 0) return
    for (const node of graph.nodes)
      for (let i = computedInputs(node) - 1; i >= 0; i--) {
        const v = node.inputs[i]
        const history = v.storage?.kind === 'state' ? this.#histories.get(v.storage.state) : undefined
        if (history && !history.before.includes(v)) history.before.push(v)
      }
    for (const [state, history] of this.#histories) this.#chooseTargets(state, history)
  }

  #historyOf(state: State): History {
    let history = this.#histories.get(state)
    if (!history) {
      history = { writers: [], results: [], before: [], direct: [] }
      this.#histories.set(state, history)
    }
    return history
  }

  /** The State into whose memory the kernel of a value writes, if any. */
  targetOf(value: Value): State | null {
    return this.#targets.get(value) ?? null
  }

  /** Whether an assign has nothing left to do, because its source was computed in place. */
  isSpared(writer: Node): boolean {
    const history = writer.writes[0] && this.#histories.get(writer.writes[0].state)
    return history?.direct.some((d) => d.writer === writer) ?? false
  }

  /**
   * Where an assign's source is computed by a kernel that gives it whole, that kernel can write the State itself, unless the
   * old version is read from then on, or the value is read after the State's next version.
   */
  #chooseTargets(state: State, history: History): void {
    for (const [i, node] of history.writers.entries()) {
      if (node.op.kind !== 'assign' || isPartial(node)) continue
      const { base, view } = throughViews(node.inputs[0], () => false)
      const producer = base.storage ? null : base.node
      if (!producer || !view || this.#targets.has(base) || this.#externalOf.has(base)) continue
      // a slice of the result is contiguous as well, but the kernel writes all of it
      if (!isContiguous(view) || numel(base.shape) !== numel(state.shape)) continue
      // the kernel runs before this assign: a write in between would then be the later one
      if (i > 0 && history.writers[i - 1].id > producer.id) continue
      const ownKernel =
        producer.op.kind === 'call' || (producer.writes.length === 0 && this.#analysis.isStored(base))
      if (!ownKernel || base.dtype !== state.dtype) continue
      const readsOld = this.#previous(history, node).some((v) => this.#lastReadAt(v) >= producer.id)
      const later = history.writers[i + 1]
      const outlives = later !== undefined && this.#lastReadAt(base) > later.id
      if (readsOld || outlives) continue
      this.#targets.set(base, state)
      history.direct.push({ value: base, writer: node })
    }
  }

  #lastReadAt(v: Value): number {
    return this.#analysis.lastRead(v)?.at ?? -1
  }

  /** The values that a write makes unreadable: earlier versions, and what was computed straight into the State. */
  #previous(history: History, writer: Node): Value[] {
    const values = [...history.before]
    for (const [i, w] of history.writers.entries()) if (w.id < writer.id) values.push(history.results[i])
    for (const d of history.direct) if (d.writer.id < writer.id) values.push(d.value)
    return values
  }

  /** Nothing may read the old version after this write: what was made before is computed first, what was made after is an error. */
  check(writer: Node, state: State): void {
    for (const old of this.#previous(this.#historyOf(state), writer)) {
      const last = this.#analysis.lastRead(old)
      if (!last || last.at <= writer.id) continue
      if (last.node.id > writer.id)
        throw new Error(
          `[${last.node.op.name}] reads ${state.name} as it was before it was assigned: take the value before the assignment and retain() it`,
        )
      throw new NeedsStorage(last.node.outputs[0])
    }
  }
}
