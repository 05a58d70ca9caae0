/** What is to be computed, and the key under which its plan is kept. */
import type { Node, Value } from '../graph.ts'
import type { AttrValue } from '../op.ts'
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
  /** Equal, word by word, for graphs that one plan serves. */
  readonly key: Int32Array
  /** Values of the slots, node by node. */
  readonly scalars: number[]
}

/** How many of a node's inputs are computed: a view shows only its first, the others are there for gradients. */
export const computedInputs = (node: Node): number =>
  node.op.kind === 'view' ? Math.min(1, node.inputs.length) : node.inputs.length

let walk = 0

/** The nodes behind `targets` and `effects` that are not computed yet, in order of creation. */
export function collect(targets: readonly Value[], effects: readonly Node[]): Node[] {
  walk++
  const nodes: Node[] = []
  const stack: Node[] = []
  const visit = (node: Node | null) => {
    if (!node || node.visited === walk) return
    node.visited = walk
    nodes.push(node)
    stack.push(node)
  }
  for (const node of effects) visit(node)
  for (const v of targets) if (!v.storage) visit(v.node)
  for (let node = stack.pop(); node; node = stack.pop())
    for (let i = computedInputs(node) - 1; i >= 0; i--) {
      const v = node.inputs[i]
      if (!v.storage) visit(v.node)
    }
  return byAge(nodes)
}

/** In order of creation. Nodes of one step have ids close to each other: they are put in place rather than compared. */
function byAge(nodes: Node[]): Node[] {
  if (nodes.length === 0) return nodes
  let first = nodes[0].id
  let last = first
  for (let i = 1; i < nodes.length; i++) {
    const { id } = nodes[i]
    if (id < first) first = id
    if (id > last) last = id
  }
  if (last - first > 4 * nodes.length) return nodes.sort((a, b) => a.id - b.id)
  const places = new Array<Node | undefined>(last - first + 1)
  for (let i = 0; i < nodes.length; i++) places[nodes[i].id - first] = nodes[i]
  let count = 0
  for (let i = 0; i < places.length; i++) {
    const node = places[i]
    if (node) nodes[count++] = node
  }
  return nodes
}

// Words of keys

const numbers = new Map<string, number>()

/** A small number for a name: of an op, a dtype, an attribute. There are only as many as the program has. */
function numberOf(name: string): number {
  let n = numbers.get(name)
  if (n === undefined) numbers.set(name, (n = numbers.size))
  return n
}

const float = new Float64Array(1)
const halves = new Int32Array(float.buffer)

class KeyWriter {
  #words = new Int32Array(1024)
  #length = 0

  start(): void {
    this.#length = 0
  }

  push(word: number): void {
    if (this.#length === this.#words.length) {
      const longer = new Int32Array(2 * this.#length)
      longer.set(this.#words)
      this.#words = longer
    }
    this.#words[this.#length++] = word
  }

  list(list: readonly number[]): void {
    this.push(list.length)
    for (let i = 0; i < list.length; i++) this.push(list[i])
  }

  /** With a word ahead of it that says what it is, so that no two values share their words. */
  attribute(v: AttrValue): void {
    if (typeof v === 'number') {
      if ((v | 0) === v) {
        this.push(0)
        this.push(v)
        return
      }
      float[0] = v
      this.push(1)
      this.push(halves[0])
      this.push(halves[1])
    } else if (typeof v === 'string') {
      this.push(2)
      this.push(numberOf(v))
    } else if (Array.isArray(v)) {
      this.push(3)
      this.push(v.length)
      for (const item of v) this.attribute(item)
    } else this.push(v === null ? 4 : v ? 5 : 6)
  }

  node(node: Node): void {
    this.push(numberOf(node.op.name))
    this.push(node.inputs.length)
    for (const name in node.attrs) {
      this.push(numberOf(name))
      this.attribute(node.attrs[name])
    }
    this.push(-1)
    this.push(node.outputs.length)
    for (let i = 0; i < node.outputs.length; i++) {
      this.push(numberOf(node.outputs[i].dtype))
      this.list(node.outputs[i].shape)
    }
    this.push(node.scalars.length)
  }

  finish(): Int32Array {
    return this.#words.slice(0, this.#length)
  }
}

const key = new KeyWriter()

/** The graph behind `targets` and `effects`, with its key. */
export function pendingGraph(
  targets: readonly Value[],
  effects: readonly Node[],
  device: string,
): PendingGraph {
  const nodes = collect(targets, effects)
  const externals: External[] = []
  const externalOf = new Map<Value | State, number>()
  const scalars: number[] = []
  key.start()
  key.push(numberOf(device))

  /** An input's number; where it is new, its shape and dtype follow. */
  const external = (entry: External, id: Value | State): void => {
    const known = externalOf.get(id)
    if (known !== undefined) {
      key.push(-1 - known)
      return
    }
    const { shape, dtype } = entry.kind === 'state' ? entry.state : entry.value
    externalOf.set(id, externals.length)
    key.push(-1 - externals.length)
    key.push(numberOf(dtype))
    key.list(shape)
    externals.push(entry)
  }
  const leaf = (v: Value): void => {
    const storage = v.storage!
    if (storage.kind !== 'state') external({ kind: 'leaf', value: v }, v)
    else {
      storage.state.checkReadable(storage.version)
      external({ kind: 'state', state: storage.state }, storage.state)
    }
  }
  const computed = (v: Value): void => {
    key.push(v.node!.position)
    key.push(v.index)
  }

  for (let i = 0; i < nodes.length; i++) {
    const node = nodes[i]
    node.position = i
    key.node(node)
    for (let n = computedInputs(node), j = 0; j < n; j++) {
      const v = node.inputs[j]
      if (v.storage) leaf(v)
      else computed(v)
    }
    for (let w = 0; w < node.writes.length; w++) {
      const { state, isDropped } = node.writes[w]
      if (isDropped) key.push(0)
      else external({ kind: 'state', state }, state)
    }
    for (let s = 0; s < node.scalars.length; s++) scalars.push(node.scalars[s])
  }
  const roots: Value[] = []
  const addRoot = (v: Value) => {
    if (v.storage || !v.node || v.node.writes.length > 0 || externalOf.has(v)) return
    roots.push(v)
    external({ kind: 'root', value: v }, v)
    computed(v)
  }
  for (const v of targets) addRoot(v)
  for (const { outputs } of nodes)
    for (let i = 0; i < outputs.length; i++) if (outputs[i].keep) addRoot(outputs[i])
  return { nodes, roots, externals, externalOf, key: key.finish(), scalars }
}
