/** Decides which values get memory, and into which kernels the others are folded. */
import { load, type MathOp, postorder, scalar } from '../expr.ts'
import type { Node, Value } from '../graph.ts'
import { type CallOp, type MapOp, scalarType, type ViewOp } from '../op.ts'
import { contiguousView, isContiguous, type View } from '../view.ts'
import { computedInputs, type PendingGraph } from './graph-key.ts'

/** A value used by several kernels is computed anew in each if that takes at most this many operations. */
const CHEAP = 8

const MATH: ReadonlySet<string> = new Set<MathOp>([
  'exp',
  'expm1',
  'log',
  'log1p',
  'sin',
  'cos',
  'tanh',
  'erf',
  'pow',
])

export interface Analysis {
  /** Values that a kernel of their own computes into memory. */
  readonly stored: ReadonlySet<Value>
  /** Nodes whose kernels a value is folded into (itself where it is stored). */
  readonly owners: ReadonlyMap<Value, ReadonlySet<Node>>
  readonly users: ReadonlyMap<Value, readonly Node[]>
}

const isPending = (v: Value): v is Value & { node: Node } => v.storage === null && v.node !== null

/** The value in memory behind a chain of views, and how it is seen; null where strides cannot express it. */
export function throughViews(
  value: Value,
  isStored: (v: Value) => boolean,
): { base: Value; view: View | null } {
  const chain: Node[] = []
  let base = value
  while (isPending(base) && base.node.op.kind === 'view' && !isStored(base)) {
    chain.push(base.node)
    base = base.node.inputs[0]
  }
  let view: View | null = contiguousView(base.shape)
  for (const node of chain.reverse())
    view = view && (node.op as ViewOp).apply(view, node.attrs, node.outputs[0].shape)
  return { base, view }
}

/** Whether a call takes input `i` as this view. */
export function fitsCall(op: CallOp, i: number, view: View | null): view is View {
  if (!view) return false
  if (op.strided?.includes(i)) return true
  if (op.unitStride?.includes(i)) return view.shape.at(-1) === 1 || view.strides.at(-1) === 1
  return isContiguous(view)
}

/** Operations behind one element, as far as they would be folded. */
function costs(nodes: readonly Node[]): Map<Value, number> {
  const cost = new Map<Value, number>()
  for (const node of nodes) {
    if (node.op.kind !== 'map' && node.op.kind !== 'view') continue
    let sum = node.op.kind === 'map' ? operations(node, node.op) : 0
    for (const v of computedInputs(node)) sum += cost.get(v) ?? 0
    cost.set(node.outputs[0], sum)
  }
  return cost
}

/** Operations of one map op by itself; a function such as exp counts as too many to repeat. */
function operations(node: Node, op: MapOp): number {
  const args = node.inputs.map((v, i) => load(i, scalarType(v.dtype)))
  let count = 0
  for (const e of postorder([op.expr(args, scalar, node.attrs)]))
    count += MATH.has(e.op) ? CHEAP + 1 : e.args.length ? 1 : 0
  return count
}

export function analyze(graph: PendingGraph, forced: ReadonlySet<Value>): Analysis {
  const stored = new Set<Value>(forced)
  for (const r of graph.roots) stored.add(r)
  const owners = new Map<Value, Set<Node>>()
  const users = new Map<Value, Node[]>()
  const cost = costs(graph.nodes)

  const give = (v: Value, nodes: Iterable<Node>) => {
    if (!isPending(v)) return
    const set = owners.get(v) ?? new Set()
    for (const n of nodes) set.add(n)
    owners.set(v, set)
  }
  const visitCall = (node: Node, op: CallOp) => {
    for (const [i, v] of node.inputs.entries()) {
      const { base, view } = throughViews(v, (x) => stored.has(x))
      const needed = fitsCall(op, i, view) ? base : v
      if (isPending(needed)) stored.add(needed)
      give(v, [node])
    }
  }

  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    for (const v of computedInputs(node)) {
      const list = users.get(v)
      if (list) list.push(node)
      else users.set(v, [node])
    }
    if (node.op.kind === 'call') {
      visitCall(node, node.op)
      continue
    }
    const out = node.outputs[0]
    if (node.op.kind === 'reduce' || node.op.kind === 'assemble' || node.op.kind === 'assign') {
      stored.add(out)
      for (const v of node.inputs) give(v, [node])
      continue
    }
    const into = owners.get(out)
    if (node.op.kind === 'map' && !stored.has(out) && (into?.size ?? 0) > 1 && cost.get(out)! > CHEAP)
      stored.add(out)
    if (stored.has(out)) owners.set(out, new Set([node]))
    const mine = owners.get(out)
    if (mine) for (const v of computedInputs(node)) give(v, mine)
  }
  return { stored, owners, users }
}

/**
 * The last kernel that reads a value, directly or through what is folded into it: `at` is the kernel's id, `node` the node
 * that takes the value itself.
 */
export function lastRead(value: Value, analysis: Analysis): { node: Node; at: number } | null {
  let last: { node: Node; at: number } | null = null
  const consider = (node: Node, at: number) => {
    if (!last || at > last.at) last = { node, at }
  }
  const visit = (v: Value, reader: Node | null) => {
    for (const user of analysis.users.get(v) ?? []) {
      const kind = user.op.kind
      const direct = reader ?? user
      if (kind === 'view' && !analysis.stored.has(user.outputs[0])) visit(user.outputs[0], direct)
      else if (kind === 'map' && !analysis.stored.has(user.outputs[0]))
        for (const owner of analysis.owners.get(user.outputs[0]) ?? []) consider(direct, owner.id)
      else consider(direct, user.id)
    }
  }
  visit(value, null)
  return last
}
