/** Running what is pending: from values that somebody reads to buffers that hold them. */
import { releaseDifferentiated } from './autograd.ts'
import type { Backend, Binding, DeviceBuffer, DeviceName } from './backend.ts'
import { debug, debugLevel } from './debug.ts'
import { backendFor, backendNow, defaultBackend, defaultBackendNow, onShutdown } from './device.ts'
import { dtypeInfo, type TypedArray } from './dtype.ts'
import { deviceOf, type Node, requestRoot, type Storage, takeRequestedRoots, type Value } from './graph.ts'
import { effectsDone, pendingEffects } from './ops/effects.ts'
import { clearPlans, planFor } from './plan/cache.ts'
import { type PendingGraph, pendingGraph } from './plan/graph-key.ts'
import { lower } from './plan/lower.ts'
import { type Segment, segments } from './plan/segments.ts'
import { type PlanTimer, timePlan } from './profile/recorder.ts'
import { rootBytes, trackRoot } from './roots.ts'
import { numel } from './shape.ts'
import { toDeviceLayout } from './state.ts'
import type { Tensor } from './tensor.ts'
import { turn } from './turn.ts'

/** Roots up to this size move to JavaScript's heap at once where the device is synchronous: nothing is left to free. */
const HOST_ROOT_BYTES = 2 ** 20

/** Where a pending write belongs: to the device of the State, or of what is written; null while that is open. */
function effectDevice(effect: Node): DeviceName | null {
  for (const w of effect.writes) if (w.state.device) return w.state.device
  return effect.device
}

/** Which device the pending work belongs to: that of what is read, of its inputs, or of the pending effects. */
function deviceOfWork(values: readonly Value[], effects: readonly Node[]): DeviceName | null {
  for (const v of values) {
    const d = deviceOf(v)
    if (d) return d
  }
  for (const n of effects) if (effectDevice(n)) return effectDevice(n)
  return null
}

/** Work in order: a plan starts when the one before has been queued on the device. Null while nothing waits. */
let queue: Promise<void> | null = null

interface Job {
  graph: PendingGraph
  backend: Backend
  rootBuffers: DeviceBuffer[]
  transient: DeviceBuffer[]
  bindings: () => Binding[]
  planned: ReturnType<typeof planFor>
  timer: PlanTimer | null
}

/** The pending writes that a backend is to do. */
const effectsOf = (backend: Backend): readonly Node[] =>
  pendingEffects().filter((n) => (effectDevice(n) ?? backend.name) === backend.name)

/** Everything that a backend is to do for these values and the pending effects, plan by plan. */
function pendingWork(values: readonly Value[], backend: Backend): readonly Segment[] {
  const effects = effectsOf(backend)
  const requested: Value[] = []
  for (const v of takeRequestedRoots())
    if ((deviceOf(v) ?? backend.name) === backend.name) requested.push(v)
    else requestRoot(v)
  const wanted = [...new Set([...values, ...requested])].filter((v) => !v.storage)
  return wanted.length + effects.length > 0 ? segments(wanted, effects) : []
}

/** Plans a segment of the pending graph; what is left is to run it. Earlier segments are finished, or queued, by then. */
function prepareJob({ targets, effects }: Segment, backend: Backend): Job {
  let graph: PendingGraph
  let planned: ReturnType<typeof planFor>
  try {
    graph = pendingGraph(targets, effects, backend.name)
    checkDevices(graph, backend)
    planned = planFor(graph, backend)
  } catch (e) {
    dropImpossible(effectsOf(backend), backend)
    throw e
  }
  const rootBuffers: DeviceBuffer[] = []
  const transient: DeviceBuffer[] = []
  // bound when the job runs: until then earlier jobs may still need a State's old contents
  const bindings = () =>
    graph.externals.map((e): Binding => {
      if (e.kind === 'state') return e.state.bind(backend)
      if (e.kind === 'root') return { buffer: rootBuffers[graph.roots.indexOf(e.value)], offset: 0 }
      const storage = e.value.storage
      if (storage?.kind === 'device') return { buffer: storage.buffer, offset: 0 }
      if (storage?.kind !== 'host') throw new Error('[evaluate] an input lost its storage')
      const data = toDeviceLayout(storage.data, e.value.dtype)
      const buffer = backend.allocate(Math.max(4, data.byteLength))
      transient.push(buffer)
      backend.upload(buffer, 0, data)
      return { buffer, offset: 0 }
    })
  for (const v of graph.roots) rootBuffers.push(backend.allocate(Math.max(4, deviceBytes(v))))
  const timer = timePlan(graph, backend, planned.executable, planned.hit)
  return { graph, backend, rootBuffers, transient, bindings, planned, timer }
}

/** Host data goes anywhere; what is in a device's memory is read there only. */
function checkDevices(graph: PendingGraph, backend: Backend): void {
  for (const e of graph.externals) {
    const storage = e.kind === 'leaf' ? e.value.storage : null
    if (storage?.kind === 'device' && storage.backend !== backend)
      throw new Error(
        `[evaluate] a tensor of shape [${e.kind === 'leaf' ? e.value.shape : ''}] is on ${storage.backend.name} and is used on ${backend.name}: move it with await x.to('${backend.name}')`,
      )
  }
}

/** Forgets writes that can never run, such as one of an overwritten version: they would fail every later evaluation. */
function dropImpossible(effects: readonly Node[], backend: Backend): void {
  const impossible = effects.filter((effect) => {
    try {
      lower(pendingGraph([], [effect], backend.name))
      return false
    } catch {
      return true
    }
  })
  effectsDone(new Set(impossible))
}

const deviceBytes = (v: Value): number => numel(v.shape) * dtypeInfo(v.dtype).deviceBytes

/** After a job is queued: values get their storage, States their versions, graphs are let go. */
function finishJob(job: Job): void {
  const { graph, backend, rootBuffers } = job
  for (const [i, v] of graph.roots.entries()) {
    v.storage = trackRoot(v, { kind: 'device', backend, buffer: rootBuffers[i] })
    v.keep = false
  }
  const done = new Set<Node>()
  for (const node of graph.nodes) {
    if (node.writes.length === 0) continue
    for (let i = 0; i < node.writes.length; i++) {
      const { state, version, isDropped } = node.writes[i]
      if (isDropped) continue
      state.written(version)
      state.device = backend.name
      node.outputs[i].storage = { kind: 'state', state, version }
    }
    done.add(node)
  }
  effectsDone(done)
  releaseDifferentiated()
  for (const v of graph.roots) if (!v.requiresGrad || !v.node?.op.grad) v.node = null
  for (const n of done) for (const v of n.outputs) v.node = null
}

function report(job: Job, ms: number): void {
  if (debugLevel() < 2) return
  const { kernelCount, executable, hit } = job.planned
  debug(
    2,
    () =>
      `plan: ${kernelCount} kernels, arena ${executable.arenaBytes} bytes, ${ms.toFixed(2)} ms, cache ${hit ? 'hit' : 'miss'}`,
  )
}

function release(job: Job): void {
  for (const b of job.transient) job.backend.free(b)
}

function runNow(job: Job): void {
  const start = performance.now()
  try {
    const bindings = job.bindings()
    job.timer?.begin()
    job.planned.executable.runSync!(bindings, job.graph.scalars)
    job.timer?.end()
  } catch (e) {
    for (const b of job.rootBuffers) job.backend.free(b)
    throw e
  } finally {
    release(job)
  }
  finishJob(job)
  for (const v of job.graph.roots) moveToHost(v)
  report(job, performance.now() - start)
}

/** Small results leave the device, so that evaluated handles never hold its memory. */
function moveToHost(v: Value): void {
  const storage = v.storage
  if (storage?.kind !== 'device' || !storage.backend.downloadSync || deviceBytes(v) > HOST_ROOT_BYTES) return
  const data = hostArray(v, storage.backend)
  storage.backend.downloadSync(storage.buffer, 0, data.raw)
  replaceStorage(v, data.finish())
}

function replaceStorage(v: Value, data: TypedArray): void {
  const old = v.storage
  v.storage = { kind: 'host', data }
  if (old?.kind === 'device') rootBytes.release(old)
}

/** An array of the device's layout, and how it becomes one of the host's. */
function hostArray(v: Value, backend: Backend): { raw: TypedArray; finish: () => TypedArray } {
  const n = numel(v.shape)
  if (v.dtype === 'bool') {
    const words = new Int32Array(n)
    return { raw: words, finish: () => Uint8Array.from(words) }
  }
  const raw =
    backend.float64 && v.dtype === 'float32' ? new Float64Array(n) : new (dtypeInfo(v.dtype).hostArray)(n)
  return { raw, finish: () => raw }
}

async function runQueued(job: Job): Promise<void> {
  const start = performance.now()
  const before = queue
  finishJob(job)
  const mine = (async () => {
    await before
    try {
      const bindings = job.bindings()
      job.timer?.begin()
      await job.planned.executable.run(bindings, job.graph.scalars)
      job.timer?.end()
    } finally {
      release(job)
    }
    report(job, performance.now() - start)
  })()
  queue = mine
  try {
    await mine
  } finally {
    if (queue === mine) queue = null
  }
}

let lastTurn = performance.now()

/** Lets the event loop turn now and then, so that signals and timers get their chance between plans. */
async function breathe(): Promise<void> {
  if (performance.now() - lastTurn < 50) return
  await turn()
  lastTurn = performance.now()
}

/** Computes tensors (and all pending effects) without reading them. */
export async function evaluate(...tensors: Tensor[]): Promise<void> {
  const values = tensors.map((t) => t.value)
  const bound = deviceOfWork(values, pendingEffects())
  const backend = bound ? (backendNow(bound) ?? (await backendFor(bound))) : await defaultBackend()
  const work = pendingWork(values, backend)
  if (work.length === 0) return
  if (backend.synchronous) {
    for (const segment of work) runNow(prepareJob(segment, backend))
    await breathe()
    return
  }
  const runs: Promise<void>[] = []
  try {
    for (const segment of work) runs.push(runQueued(prepareJob(segment, backend)))
  } finally {
    await Promise.all(runs)
  }
}

/** The same on the spot; throws where the device cannot be waited for. */
export function evaluateSync(...tensors: Tensor[]): void {
  const values = tensors.map((t) => t.value)
  if (values.length > 0 && values.every((v) => v.storage)) return
  if (values.length === 0 && pendingEffects().length === 0) return
  const bound = deviceOfWork(values, pendingEffects())
  const backend = bound ? backendNow(bound) : defaultBackendNow()
  if (!backend?.synchronous)
    throw new Error(
      `[evaluateSync] ${bound ?? 'this device'} cannot be read without waiting: use await x.data()`,
    )
  for (const segment of pendingWork(values, backend)) runNow(prepareJob(segment, backend))
}

/** A copy of the elements in host layout. */
export async function readValue(t: Tensor): Promise<TypedArray> {
  // the handle may be rebound while this waits: what is read is what it stood for when it was asked
  const value = t.value
  if (!value.storage) await evaluate(t)
  const storage = value.storage!
  if (storage.kind === 'host') return storage.data.slice()
  const source = locate(value, storage)
  const out = hostArray(value, source.backend)
  await queue
  await source.backend.download(source.buffer, source.offset, out.raw)
  const data = out.finish()
  // what was read once is likely to be small and read again: it need not stay on the device
  if (storage.kind === 'device' && deviceBytes(value) <= HOST_ROOT_BYTES) replaceStorage(value, data.slice())
  return data
}

export function readValueSync(t: Tensor): TypedArray {
  evaluateSync(t)
  const storage = t.value.storage!
  if (storage.kind === 'host') return storage.data.slice()
  const source = locate(t.value, storage)
  if (!source.backend.downloadSync)
    throw new Error(`[dataSync] ${source.backend.name} cannot be read without waiting: use await x.data()`)
  const out = hostArray(t.value, source.backend)
  source.backend.downloadSync(source.buffer, source.offset, out.raw)
  return out.finish()
}

function locate(
  v: Value,
  storage: Exclude<Storage, { kind: 'host' }>,
): { backend: Backend; buffer: DeviceBuffer; offset: number } {
  if (storage.kind === 'device') return { backend: storage.backend, buffer: storage.buffer, offset: 0 }
  const { state } = storage
  state.checkReadable(storage.version)
  const backend = backendNow(state.device ?? 'cpu') ?? defaultBackendNow()
  if (!backend)
    throw new Error(`[data] ${state.name} of shape [${v.shape}] is on a device that was shut down`)
  return { backend, ...state.bind(backend) }
}

onShutdown(clearPlans)
