/** What is to be computed, and the key under which its plan is kept. */
import { leafSignature, type Node, type Value } from '../graph.ts'
import type { State } from '../state.ts'

/** A buffer that a plan is given at every run. */
export type External =
  | { readonly kind: 'leaf'; readonly value: Value }
  | { readonly kind: 'state'; readonly state: State }
  | { readonly kind: 'root'; readonly value: Value }

export interface PendingGraph {
  /** Nodes to run, in creation order. */
  readonly nodes: readonly Node[]
  /** Values to keep after the run; none has a storage yet, none is a State's. */
  readonly roots: readonly Value[]
  /** Inputs first (each State once), then the roots. */
  readonly externals: readonly External[]
  readonly externalOf: ReadonlyMap<Value | State, number>
  /** Equal for graphs that one plan serves. */
  readonly key: string
  /** Values of the slots, node by node. */
  readonly scalars: number[]
}

/** Inputs that are computed: a view shows only its first input, the others are there for gradients. */
export const computedInputs = (node: Node): readonly Value[] =>
  node.op.kind === 'view' ? node.inputs.slice(0, 1) : node.inputs

function collect(targets: readonly Value[], effects: readonly Node[]): Node[] {
  const seen = new Set<Node>()
  const stack: Node[] = [...effects]
  for (const v of targets) if (!v.storage && v.node) stack.push(v.node)
  while (stack.length) {
    const node = stack.pop()!
    if (seen.has(node)) continue
    seen.add(node)
    for (const v of computedInputs(node)) if (!v.storage && v.node) stack.push(v.node)
  }
  return [...seen].sort((a, b) => a.id - b.id)
}

/** The graph behind `targets` and `effects`, with its key. */
export function pendingGraph(
  targets: readonly Value[],
  effects: readonly Node[],
  device: string,
): PendingGraph {
  const nodes = collect(targets, effects)
  const positions = new Map<Node, number>(nodes.map((n, i) => [n, i]))
  const externals: External[] = []
  const externalOf = new Map<Value | State, number>()
  const key: (number | string)[] = [device]
  const scalars: number[] = []

  const external = (entry: External, id: Value | State): number => {
    const known = externalOf.get(id)
    if (known !== undefined) return known
    externalOf.set(id, externals.length)
    const { shape, dtype } = entry.kind === 'state' ? entry.state : entry.value
    key.push(-1 - externals.length, leafSignature(shape, dtype))
    return externals.push(entry) - 1
  }
  const stateExternal = (state: State) => external({ kind: 'state', state }, state)
  const leafExternal = (v: Value): number => {
    const storage = v.storage!
    if (storage.kind !== 'state') return external({ kind: 'leaf', value: v }, v)
    storage.state.checkReadable(storage.version)
    return stateExternal(storage.state)
  }

  for (const node of nodes) {
    key.push(node.signature)
    for (const v of computedInputs(node)) {
      if (v.storage) {
        key.push(-1 - leafExternal(v))
      } else key.push(positions.get(v.node!)! * 8 + v.index)
    }
    if (node.state) key.push(`s${stateExternal(node.state)}`)
    key.push(`.${node.scalars.length}`)
    for (const s of node.scalars) scalars.push(s)
  }
  const roots: Value[] = []
  const addRoot = (v: Value) => {
    if (v.storage || !v.node || v.node.op.kind === 'assign' || externalOf.has(v)) return
    roots.push(v)
    external({ kind: 'root', value: v }, v)
    key.push(`r${positions.get(v.node)! * 8 + v.index}`)
  }
  for (const v of targets) addRoot(v)
  for (const node of nodes) for (const v of node.outputs) if (v.keep) addRoot(v)
  return { nodes, roots, externals, externalOf, key: key.join(), scalars }
}
