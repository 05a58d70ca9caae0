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

export const isPending = (v: Value): v is Value & { node: Node } => v.storage === null && v.node !== null

/** The value in memory behind a chain of views, and how it is seen; null where strides cannot express it. */
export function throughViews(
  value: Value,
  isStored: (v: Value) => boolean,
): { base: Value; view: View | null } {
  let base = value
  const chain: Node[] = []
  while (isPending(base) && base.node.op.kind === 'view' && !isStored(base)) {
    chain.push(base.node)
    base = base.node.inputs[0]
  }
  let view: View | null = contiguousView(base.shape)
  for (let i = chain.length - 1; i >= 0 && view; i--)
    view = (chain[i].op as ViewOp).apply(view, chain[i].attrs, chain[i].outputs[0].shape)
  return { base, view }
}

/** How the kernel of a call sees input `i` that lies like this; null where it cannot take it so. */
export function callView(node: Node, op: CallOp, i: number, view: View | null): View | null {
  const seen = view && op.seenInput ? op.seenInput(view, i, node.attrs) : view
  if (!seen || op.strided?.includes(i)) return seen
  if (op.unitStride?.includes(i)) return seen.shape.at(-1) === 1 || seen.strides.at(-1) === 1 ? seen : null
  return isContiguous(seen) ? seen : null
}

const knownOperations = new WeakMap<MapOp, number>()

/** Operations of one map op by itself; a function such as exp counts as too many to repeat. */
function operations(node: Node, op: MapOp): number {
  const known = knownOperations.get(op)
  if (known !== undefined) return known
  const args = node.inputs.map((v, i) => load(i, scalarType(v.dtype)))
  let count = 0
  for (const e of postorder([op.expr(args, scalar, node.attrs)]))
    count += MATH.has(e.op) ? CHEAP + 1 : e.args.length ? 1 : 0
  // attributes may choose among expressions
  if (Object.keys(node.attrs).length === 0) knownOperations.set(op, count)
  return count
}

/** What planning knows of the values of a graph before any kernel is made. */
export class Analysis {
  readonly #forced: ReadonlySet<Value>
  /** Number of the first output of each node. */
  readonly #firstOutput: Int32Array
  readonly #stored: Uint8Array
  readonly #owners: (readonly Node[] | undefined)[]
  readonly #users: (Node[] | undefined)[]
  readonly #leafUsers = new Map<Value, Node[]>()
  readonly #costs: Float64Array

  constructor(graph: PendingGraph, forced: ReadonlySet<Value>) {
    this.#forced = forced
    this.#firstOutput = new Int32Array(graph.nodes.length)
    let count = 0
    for (let i = 0; i < graph.nodes.length; i++) {
      this.#firstOutput[i] = count
      count += graph.nodes[i].outputs.length
    }
    this.#stored = new Uint8Array(count)
    this.#owners = new Array(count)
    this.#users = new Array(count)
    this.#costs = new Float64Array(count).fill(-1)
    for (const v of forced) this.#store(v)
    for (const v of graph.roots) this.#store(v)
    for (let i = graph.nodes.length - 1; i >= 0; i--) this.#visit(graph.nodes[i])
  }

  /** A number for each value of the graph that has no storage yet, from 0. */
  numberOf(v: Value & { node: Node }): number {
    return this.#firstOutput[v.node.position] + v.index
  }

  /** Whether a kernel of its own computes the value into memory. */
  isStored(v: Value): boolean {
    return isPending(v) && this.#stored[this.numberOf(v)] === 1
  }

  /** Nodes that take the value as it is, newest first. */
  usersOf(v: Value): readonly Node[] {
    return (isPending(v) ? this.#users[this.numberOf(v)] : this.#leafUsers.get(v)) ?? []
  }

  /** Nodes whose kernels a value is folded into (its own where it is stored). */
  ownersOf(v: Value): readonly Node[] {
    return (isPending(v) ? this.#owners[this.numberOf(v)] : undefined) ?? []
  }

  #store(v: Value): void {
    if (isPending(v)) this.#stored[this.numberOf(v)] = 1
  }

  #give(v: Value, nodes: readonly Node[]): void {
    if (!isPending(v)) return
    const at = this.numberOf(v)
    const known = this.#owners[at]
    if (!known) this.#owners[at] = nodes
    else if (known !== nodes) {
      const added = nodes.filter((n) => !known.includes(n))
      if (added.length > 0) this.#owners[at] = [...known, ...added]
    }
  }

  #use(v: Value, node: Node): void {
    if (isPending(v)) {
      const list = this.#users[this.numberOf(v)]
      if (list) list.push(node)
      else this.#users[this.numberOf(v)] = [node]
    } else if (v.storage?.kind === 'state') {
      const list = this.#leafUsers.get(v)
      if (list) list.push(node)
      else this.#leafUsers.set(v, [node])
    }
  }

  #visit(node: Node): void {
    const { op, inputs } = node
    const computed = computedInputs(node)
    for (let i = 0; i < computed; i++) this.#use(inputs[i], node)
    if (op.kind === 'call') {
      this.#visitCall(node, op)
      return
    }
    const out = node.outputs[0]
    if (op.kind !== 'map' && op.kind !== 'view' && op.kind !== 'iota') {
      for (const v of node.outputs) this.#store(v)
      const mine = [node]
      // rows are written by a kernel that takes them from memory
      if (op.kind === 'assign' && node.attrs.rows) for (const v of inputs) this.#store(v)
      for (const v of inputs) this.#give(v, mine)
      return
    }
    const at = this.#firstOutput[node.position]
    const into = this.#owners[at]
    const isShared = into !== undefined && into.length > 1
    if (op.kind === 'map' && isShared && this.#stored[at] === 0 && this.#cost(node) > CHEAP) this.#store(out)
    if (this.#stored[at] === 1) this.#owners[at] = [node]
    const mine = this.#owners[at]
    if (mine) for (let i = 0; i < computed; i++) this.#give(inputs[i], mine)
  }

  #visitCall(node: Node, op: CallOp): void {
    const mine = [node]
    for (let i = 0; i < node.inputs.length; i++) {
      const v = node.inputs[i]
      const { base, view } = throughViews(v, (x) => this.isStored(x))
      this.#store(callView(node, op, i, view) ? base : v)
      this.#give(v, mine)
    }
  }

  /** Operations behind one element, as far as they would be folded. */
  #cost(node: Node): number {
    const at = this.#firstOutput[node.position]
    if (this.#costs[at] >= 0) return this.#costs[at]
    let sum = node.op.kind === 'map' ? operations(node, node.op) : 0
    for (let i = computedInputs(node) - 1; i >= 0; i--) {
      const v = node.inputs[i]
      if (isPending(v) && (v.node.op.kind === 'map' || v.node.op.kind === 'view') && !this.#forced.has(v))
        sum += this.#cost(v.node)
    }
    this.#costs[at] = sum
    return sum
  }

  /**
   * The last kernel that reads a value, directly or through what is folded into it: `at` is the kernel's id, `node` the node
   * that takes the value itself.
   */
  lastRead(value: Value): { node: Node; at: number } | null {
    let last: { node: Node; at: number } | null = null
    const consider = (node: Node, at: number) => {
      if (!last || at > last.at) last = { node, at }
    }
    const visit = (v: Value, reader: Node | null) => {
      for (const user of this.usersOf(v)) {
        const kind = user.op.kind
        const direct = reader ?? user
        const isFolded = (kind === 'view' || kind === 'map') && !this.isStored(user.outputs[0])
        if (!isFolded) consider(direct, user.id)
        else if (kind === 'view') visit(user.outputs[0], direct)
        else for (const owner of this.ownersOf(user.outputs[0])) consider(direct, owner.id)
      }
    }
    visit(value, null)
    return last
  }
}
