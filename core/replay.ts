/**
 * Running a step again without recording it. Two recorded steps that differ in their inputs and in a counter alone show what
 * changes from one to the next; a replay gives the same plan new elements and counts on. It is for loops whose every turn does
 * the same ops on the same States, which only the caller can know: nothing of the step's JavaScript runs.
 */
import type { Backend, Binding, DeviceBuffer, Executable } from './backend.ts'
import { debugLevel } from './debug.ts'
import { recipeOf } from './derived.ts'
import { backendNow } from './device.ts'
import { dtypeInfo, type TypedArray } from './dtype.ts'
import { deviceOf, type Value } from './graph.ts'
import { modes } from './modes.ts'
import { pendingEffects } from './ops/effects.ts'
import { isPlanKept, planFor } from './plan/cache.ts'
import { type External, type PendingGraph, pendingGraph } from './plan/graph-key.ts'
import { isProfiling } from './profile/scope.ts'
import { numel } from './shape.ts'
import { type State, toDeviceLayout } from './state.ts'
import type { Tensor } from './tensor.ts'

/** A step that was recorded and is about to be evaluated. */
export interface RecordedStep {
  readonly graph: PendingGraph
  readonly backend: Backend
  readonly executable: Executable
  readonly target: Value
  readonly inputs: readonly Value[]
  readonly counter: number
}

/**
 * Notes a step before it is evaluated; null where steps of its device cannot be replayed.
 * @param target what the step will be read for
 * @param inputs host tensors whose elements change from step to step
 * @param counter a number that grows from step to step, to which slots such as a position in a cache are tied
 */
export function recordStep(target: Tensor, inputs: readonly Tensor[], counter: number): RecordedStep | null {
  const device = deviceOf(target.value)
  const backend = device && backendNow(device)
  if (!backend?.synchronous || !backend.downloadSync || backend.float64 || isObserved()) return null
  const graph = pendingGraph([target.value], pendingEffects(), backend.name)
  const { executable } = planFor(graph, backend)
  return { graph, backend, executable, target: target.value, inputs: inputs.map((t) => t.value), counter }
}

/** Whether somebody wants to see every op or every plan. */
const isObserved = (): boolean => isProfiling() || debugLevel() > 0 || modes().eager || modes().anomaly

type Input =
  | { readonly kind: 'state'; readonly state: State }
  | { readonly kind: 'fixed'; readonly binding: Binding }
  /** Elements come from an input of the step, as they are or by a recipe. */
  | {
      readonly kind: 'fed'
      readonly binding: Binding
      readonly value: Value
      readonly input: number
      readonly make: ((elements: TypedArray) => TypedArray) | null
    }

export class Replay {
  readonly #step: RecordedStep
  readonly #externals: readonly Input[]
  /** Slots that grow with the counter. */
  readonly #moving: readonly number[]
  readonly #written: readonly State[]
  readonly #buffers: readonly DeviceBuffer[]
  readonly #result: DeviceBuffer

  private constructor(step: RecordedStep, sources: readonly Source[], moving: readonly number[]) {
    const { backend, graph, target } = step
    const buffers: DeviceBuffer[] = []
    const allocate = (v: Value): Binding => {
      const buffer = backend.allocate(Math.max(4, numel(v.shape) * dtypeInfo(v.dtype).deviceBytes))
      buffers.push(buffer)
      return { buffer, offset: 0 }
    }
    let result: DeviceBuffer | null = null
    this.#externals = graph.externals.map((e, i): Input => {
      const source = sources[i]
      if (e.kind === 'state') return { kind: 'state', state: e.state }
      if (source.kind === 'device') return { kind: 'fixed', binding: { buffer: source.buffer, offset: 0 } }
      const binding = allocate(e.value)
      if (e.value === target) result = binding.buffer
      if (source.kind === 'fed') return { ...source, binding, value: e.value }
      if (source.kind === 'host')
        backend.upload(binding.buffer, 0, toDeviceLayout(source.data, e.value.dtype))
      return { kind: 'fixed', binding }
    })
    this.#step = step
    this.#moving = moving
    this.#written = graph.nodes.flatMap(({ writes }) => writes.map(({ state }) => state))
    this.#buffers = buffers
    this.#result = result!
  }

  /** What leads on from two evaluated steps, or null where they differ in more than their inputs and their counter. */
  static from(a: RecordedStep, b: RecordedStep): Replay | null {
    if (a.executable !== b.executable || !b.graph.roots.includes(b.target)) return null
    if (b.graph.nodes.some(({ writes }) => writes.some(({ isDropped }) => isDropped))) return null
    const moving = movingSlots(a, b)
    const sources = b.graph.externals.map((e, i) => sourceOf(b, a.graph.externals[i], e))
    if (!moving || !sources.every((s) => s !== null)) return null
    return new Replay(b, sources, moving)
  }

  /**
   * The elements that the step's target has with other inputs and another counter, or null where the step must be recorded:
   * its plan was let go, writes wait that come first, ops or plans are being watched, or a State is on another device.
   */
  run(inputs: readonly TypedArray[], counter: number): TypedArray | null {
    const { backend, executable, graph, target } = this.#step
    if (isObserved() || pendingEffects().length > 0 || !isPlanKept(executable)) return null
    if (backendNow(backend.name) !== backend) return null
    const bindings: Binding[] = []
    for (const e of this.#externals) {
      if (e.kind === 'state') {
        if (e.state.device !== backend.name) return null
        bindings.push(e.state.bind(backend))
        continue
      }
      if (e.kind === 'fed') {
        const elements = e.make ? e.make(inputs[e.input]) : inputs[e.input]
        backend.upload(e.binding.buffer, 0, toDeviceLayout(elements, e.value.dtype))
      }
      bindings.push(e.binding)
    }
    const scalars = graph.scalars.slice()
    for (const slot of this.#moving) scalars[slot] += counter - this.#step.counter
    executable.runSync!(bindings, scalars)
    for (const state of this.#written) {
      const version = state.nextVersion()
      state.written(version)
      state.advance(state.valueOfVersion(version))
    }
    const out = new (dtypeInfo(target.dtype).hostArray)(numel(target.shape))
    backend.downloadSync!(this.#result, 0, out)
    return out
  }

  /** Gives its buffers back. */
  dispose(): void {
    for (const buffer of this.#buffers) this.#step.backend.free(buffer)
  }
}

/** Where an external's elements come from at every run. */
type Source =
  | { kind: 'state' | 'root' }
  | { kind: 'device'; buffer: DeviceBuffer }
  | { kind: 'host'; data: TypedArray }
  | { kind: 'fed'; input: number; make: ((elements: TypedArray) => TypedArray) | null }

function sourceOf(b: RecordedStep, was: External, is: External): Source | null {
  if (is.kind === 'state') return was.kind === 'state' && was.state === is.state ? { kind: 'state' } : null
  if (is.kind === 'root') return { kind: 'root' }
  const given = b.inputs.indexOf(is.value)
  if (given >= 0) return { kind: 'fed', input: given, make: null }
  const recipe = recipeOf(is.value)
  const source = recipe ? b.inputs.indexOf(recipe.source) : -1
  if (recipe && source >= 0) return { kind: 'fed', input: source, make: recipe.make }
  const { storage } = is.value
  if (storage?.kind === 'device')
    return was.kind === 'leaf' && was.value === is.value ? { kind: 'device', buffer: storage.buffer } : null
  if (storage?.kind !== 'host' || was.kind !== 'leaf' || was.value.storage?.kind !== 'host') return null
  // nobody said that it changes: it must not have
  const before = was.value.storage.data
  return storage.data.every((x, i) => Object.is(x, before[i])) ? { kind: 'host', data: storage.data } : null
}

/** Slots that differ between the steps, all by as much as the counter; null where one does not. */
function movingSlots(a: RecordedStep, b: RecordedStep): number[] | null {
  const moving: number[] = []
  for (const [i, x] of b.graph.scalars.entries()) {
    const change = x - a.graph.scalars[i]
    if (Object.is(x, a.graph.scalars[i])) continue
    if (change !== b.counter - a.counter) return null
    moving.push(i)
  }
  return moving
}
