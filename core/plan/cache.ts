/** Plans by graph: bounded, least recently used out first. */
import type { Backend, Executable } from '../backend.ts'
import { debug } from '../debug.ts'
import type { PendingGraph } from './graph-key.ts'
import type { KernelPlan } from './kernel.ts'
import { lower } from './lower.ts'

/** A training step's plan takes about half a megabyte of heap; lengths that never repeat fill the cache and gain nothing. */
const MAX_PLANS = 64

export interface CachedPlan {
  readonly executable: Executable
  readonly plan: KernelPlan
}

const plans = new Map<string, CachedPlan>()
let hits = 0
let misses = 0

/** The plan of a graph on a backend, made now or kept from an earlier evaluation. */
export function planFor(graph: PendingGraph, backend: Backend): CachedPlan & { hit: boolean } {
  const known = plans.get(graph.key)
  if (known) {
    hits++
    plans.delete(graph.key)
    plans.set(graph.key, known)
    return { ...known, hit: true }
  }
  misses++
  const plan = lower(graph)
  debug(3, () => describe(plan))
  const made = { plan, executable: backend.prepare(plan) }
  debug(4, () => made.executable.describe?.() ?? `${backend.name} does not describe its kernels`)
  plans.set(graph.key, made)
  if (plans.size > MAX_PLANS) {
    const [oldest, old] = plans.entries().next().value!
    plans.delete(oldest)
    old.executable.dispose()
  }
  return { ...made, hit: false }
}

export const planCacheStats = () => ({ plans: plans.size, maxPlans: MAX_PLANS, hits, misses })

export function clearPlans(): void {
  for (const p of plans.values()) p.executable.dispose()
  plans.clear()
}

function describe(plan: KernelPlan): string {
  const lines = plan.kernels.map((k, i) => {
    const out =
      k.kind === 'call'
        ? k.outputs.map((o) => `${o.buffer}[${o.shape}]`)
        : k.stores.map((s) => s.operand.buffer)
    const ins = (k.kind === 'call' ? k.inputs : k.loads).map((o) => o.buffer)
    const size = k.kind === 'call' ? '' : ` over [${k.shape}]`
    return `  ${i} ${k.kind} ${k.label}${size}: ${ins.join(' ')} -> ${out.join(' ')}`
  })
  return `plan of ${plan.kernels.length} kernels, ${plan.buffers.length} buffers\n${lines.join('\n')}`
}
