/** Who holds how many bytes. */
import { runningBackends } from './device.ts'
import { clearPlans, planCacheStats } from './plan/cache.ts'
import { rootBytes } from './roots.ts'
import { stateBytes } from './state.ts'

export interface MemoryStats {
  /** Parameters, gradients, optimizer moments, KV caches. */
  state: number
  /** Evaluated tensors that stay on a device. */
  roots: number
  /** Intermediates of plans: one region, as large as the largest plan needed. */
  arena: number
  /** Taken from the system by all devices. */
  reserved: number
  peak: number
  /** Plans kept, and their bound. */
  plans: number
  maxPlans: number
}

let peak = 0

/** Bytes by owner. `peak` is the largest sum that a call of `stats` has seen. */
function stats(): MemoryStats {
  const parts = runningBackends().map((b) => b.memory())
  const arena = parts.reduce((n, m) => n + m.arena, 0)
  const reserved = parts.reduce((n, m) => n + m.reserved, 0)
  peak = Math.max(peak, reserved)
  const { plans, maxPlans } = planCacheStats()
  return { state: stateBytes(), roots: rootBytes.get(), arena, reserved, peak, plans, maxPlans }
}

/** Drops kept plans and gives back memory that is not in use. */
function trim(): void {
  clearPlans()
  for (const b of runningBackends()) b.trim()
}

export const memory = { stats, trim }
