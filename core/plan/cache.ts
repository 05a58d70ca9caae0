/** Plans by graph: bounded, least recently used out first. */
import type { Backend, Executable } from '../backend.ts'
import { debug } from '../debug.ts'
import type { PendingGraph } from './graph-key.ts'
import { forEachOperand, type KernelPlan } from './kernel.ts'
import { lower } from './lower.ts'

/** A training step's plan takes about half a megabyte of heap; lengths that never repeat fill the cache and gain nothing. */
const MAX_PLANS = 64

/** The plan itself is not kept: it is many small objects, which the garbage collector would visit again and again. */
export interface CachedPlan {
  readonly executable: Executable
  readonly kernelCount: number
}

interface Entry extends CachedPlan {
  readonly key: Int32Array
}

/** By the hash of their keys: of two graphs with one hash the newer one is kept. */
const plans = new Map<number, Entry>()
let hits = 0
let misses = 0

/** FNV-1a over words. */
function hash(key: Int32Array): number {
  let h = 0x811c9dc5
  for (let i = 0; i < key.length; i++) h = Math.imul(h ^ key[i], 0x01000193)
  return h
}

function sameKey(a: Int32Array, b: Int32Array): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

/** The plan of a graph on a backend, made now or kept from an earlier evaluation. */
export function planFor(graph: PendingGraph, backend: Backend): CachedPlan & { hit: boolean } {
  const at = hash(graph.key)
  const known = plans.get(at)
  if (known) plans.delete(at)
  if (known && sameKey(known.key, graph.key)) {
    hits++
    plans.set(at, known)
    return { ...known, hit: true }
  }
  known?.executable.dispose()
  misses++
  const plan = lower(graph, { backend })
  debug(3, () => describe(plan))
  const made = { executable: backend.prepare(plan), kernelCount: plan.kernels.length, key: graph.key }
  debug(4, () => made.executable.describe?.() ?? `${backend.name} does not describe its kernels`)
  plans.set(at, made)
  if (plans.size > MAX_PLANS) {
    const [oldest, old] = plans.entries().next().value!
    plans.delete(oldest)
    old.executable.dispose()
  }
  return { ...made, hit: false }
}

/** False once a plan was let go: its executable must not run any more. */
export function isPlanKept(executable: Executable): boolean {
  for (const plan of plans.values()) if (plan.executable === executable) return true
  return false
}

export const planCacheStats = () => ({ plans: plans.size, maxPlans: MAX_PLANS, hits, misses })

export function clearPlans(): void {
  for (const p of plans.values()) p.executable.dispose()
  plans.clear()
}

function describe(plan: KernelPlan): string {
  const lines = plan.kernels.map((k, i) => {
    const shapes = k.kind === 'call' ? k.outputs.map((o) => `[${o.shape}]`).join(' ') : `[${k.shape}]`
    const ins: number[] = []
    const outs: number[] = []
    forEachOperand(k, ({ buffer }, isWritten) => (isWritten ? outs : ins).push(buffer))
    return `  ${i} ${k.kind} ${k.label} ${k.kind === 'call' ? 'to' : 'over'} ${shapes}: ${ins.join(' ')} -> ${outs.join(' ')}`
  })
  return `plan of ${plan.kernels.length} kernels, ${plan.buffers.length} buffers\n${lines.join('\n')}`
}
