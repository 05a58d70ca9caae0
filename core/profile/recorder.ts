/** What an evaluation tells a profile: which kernels ran, from where in the model, for how long. */
import type { Backend, Executable } from '../backend.ts'
import type { PendingGraph } from '../plan/graph-key.ts'
import { lower } from '../plan/lower.ts'
import { type Origin, originOf } from './scope.ts'
import { type RunValues, type Work, workOf } from './work.ts'

export interface KernelEvent extends Work {
  readonly label: string
  readonly origin: Origin | undefined
  /** By `performance.now()`. */
  readonly start: number
  readonly milliseconds: number
}

export interface PlanEvent {
  readonly start: number
  readonly milliseconds: number
  readonly kernels: number
  readonly cacheHit: boolean
}

export interface Recorder {
  kernel(event: KernelEvent): void
  plan(event: PlanEvent): void
}

let recorder: Recorder | null = null

export function setRecorder(to: Recorder | null): void {
  recorder = to
}

/** Times one run of a plan. */
export interface PlanTimer {
  begin(): void
  end(): void
}

interface KernelInfo extends Work {
  readonly label: string
  readonly origin: Origin | undefined
}

/** Cached plans keep no kernels, and the same plan may serve other modules: they are made anew, which costs a cache miss. */
function kernelsOf(graph: PendingGraph, backend: Backend): KernelInfo[] {
  const { kernels, buffers } = lower(graph, { origins: true, backend })
  const values: RunValues = {
    scalar: (slot) => graph.scalars[slot],
    host: (buffer) => {
      const b = buffers[buffer]
      const external = b.kind === 'external' ? graph.externals[b.binding] : null
      const storage = external?.kind === 'leaf' ? external.value.storage : null
      return storage?.kind === 'host' ? storage.data : null
    },
  }
  return kernels.map((k) => ({
    // all products are one op here, whichever way they were recorded
    label: k.kind !== 'call' ? k.label : k.epilogue ? `${k.name} & ${k.epilogue.map.label}` : k.name,
    origin: k.origin === undefined ? undefined : originOf(graph.nodes[k.origin]),
    ...workOf(k, values),
  }))
}

/** Called before a plan runs, while its graph is whole; null unless a profile is being made. */
export function timePlan(
  graph: PendingGraph,
  backend: Backend,
  executable: Executable,
  cacheHit: boolean,
): PlanTimer | null {
  if (!recorder) return null
  const to = recorder
  const kernels = kernelsOf(graph, backend)
  let start = 0
  let isTimed = false
  const whole = (milliseconds: number) =>
    to.kernel({
      label: `plan of ${kernels.length} kernels`,
      origin: undefined,
      flops: kernels.reduce((sum, k) => sum + k.flops, 0),
      bytes: kernels.reduce((sum, k) => sum + k.bytes, 0),
      start,
      milliseconds,
    })
  return {
    begin: () => {
      start = performance.now()
      executable.onKernel = (kernel, milliseconds) => {
        isTimed = true
        if (kernel < 0) whole(milliseconds)
        else to.kernel({ ...kernels[kernel], start: performance.now() - milliseconds, milliseconds })
      }
    },
    end: () => {
      executable.onKernel = null
      const milliseconds = performance.now() - start
      if (!isTimed && kernels.length > 0) whole(milliseconds)
      to.plan({ start, milliseconds, kernels: kernels.length, cacheHit })
    },
  }
}
