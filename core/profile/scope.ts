/** Where in the model a node was recorded, noted only while a profile runs. */
import type { Node } from '../graph.ts'

export interface Origin {
  /** The class of the module that the program called; '' outside modules. */
  readonly root: string
  /** The path below it of the module whose `forward` recorded the node, or the node of which this is the gradient. */
  readonly module: string
  readonly pass: 'forward' | 'backward'
}

let profiling = false
let current: Origin | null = null
const origins = new WeakMap<Node, Origin>()
const OUTSIDE: Origin = { root: '', module: '', pass: 'forward' }
const backwardOf = new Map<Origin, Origin>()

/** Asked on every call of a module and every gradient: the one cost while nothing is profiled. */
export const isProfiling = (): boolean => profiling

export function setProfiling(on: boolean): void {
  profiling = on
  current = null
  backwardOf.clear()
}

/** Runs `fn`; the nodes that it records come from there. */
export function recordedAt<T>(origin: Origin, fn: () => T): T {
  const before = current
  current = origin
  try {
    return fn()
  } finally {
    current = before
  }
}

/** Runs `fn`, which records the gradient of a node. */
export function recordedFor<T>(node: Node, fn: () => T): T {
  const forward = origins.get(node) ?? OUTSIDE
  let origin = backwardOf.get(forward)
  if (!origin) backwardOf.set(forward, (origin = { ...forward, pass: 'backward' }))
  return recordedAt(origin, fn)
}

export function noteOrigin(node: Node): void {
  if (current) origins.set(node, current)
}

export const originOf = (node: Node): Origin | undefined => origins.get(node)
