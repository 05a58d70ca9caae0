/** The lazy graph: nodes are recorded when an op is called and computed when somebody reads. */
import type { Backend, DeviceBuffer, DeviceName } from './backend.ts'
import type { DType, TypedArray } from './dtype.ts'
import type { Attrs, Op } from './op.ts'
import { numel, type Shape } from './shape.ts'
import type { State } from './state.ts'

/** Elements on the host, owned by JavaScript's heap: inputs, and small evaluated roots on the CPU. */
export interface HostStorage {
  readonly kind: 'host'
  readonly data: TypedArray
}

/** An evaluated root on a device; freed when the garbage collector finds it unreachable, or by `dispose`. */
export interface DeviceStorage {
  readonly kind: 'device'
  readonly backend: Backend
  readonly buffer: DeviceBuffer
}

/** One version of a State: valid until the State is written again. */
export interface StateStorage {
  readonly kind: 'state'
  readonly state: State
  readonly version: number
}

export type Storage = HostStorage | DeviceStorage | StateStorage

let nextId = 1

/** One output of a node, or a leaf (then `node` is null and there is a storage). */
export class Value {
  node: Node | null
  readonly index: number
  readonly shape: Shape
  readonly dtype: DType
  storage: Storage | null
  requiresGrad: boolean
  /** Becomes a root of the next plan that computes it, without being a reason to compute it. */
  keep = false
  /** True for an evaluated result whose graph was let go because its gradient was taken. */
  released = false
  /** The leaf that this one replaced when an in-place method changed it: where its gradient is kept. */
  firstLeaf: Value | null = null
  /** Gradient hooks, in order of registration. */
  hooks: ((grad: unknown) => unknown)[] | null = null

  constructor(shape: Shape, dtype: DType, node: Node | null, index: number, storage: Storage | null) {
    this.shape = shape
    this.dtype = dtype
    this.node = node
    this.index = index
    this.storage = storage
    this.requiresGrad = false
  }
}

/** A State that a node writes, and the version that this makes. */
export interface Write {
  readonly state: State
  readonly version: number
  /** True where the contents were replaced from the host before the write had run. */
  isDropped: boolean
}

const NO_WRITES: readonly Write[] = []

/** One use of an op. Creation order (`id`) is execution order. */
export class Node {
  readonly id: number
  readonly op: Op
  inputs: readonly Value[]
  readonly attrs: Attrs
  readonly scalars: readonly number[]
  readonly outputs: readonly Value[]
  /** Null while every input is unbound host data: such a node runs on the default device. */
  readonly device: DeviceName | null
  /** What an assign or update node writes, one an output. */
  readonly writes: readonly Write[]
  /** Where the op was called, at debug level 1 and above. */
  readonly where: string | null
  /** Length of the chain of small pending results that ends here; see `requestRoot`. */
  chain = 0
  /** Of the walk that came by last, and the node's place in it: planning's own notes. */
  visited = 0
  position = 0

  constructor(init: {
    op: Op
    inputs: readonly Value[]
    attrs: Attrs
    scalars: readonly number[]
    outputs: readonly { shape: Shape; dtype: DType }[]
    device: DeviceName | null
    writes?: readonly Write[]
    where: string | null
  }) {
    this.id = nextId++
    this.op = init.op
    this.inputs = init.inputs
    this.attrs = init.attrs
    this.scalars = init.scalars
    this.device = init.device
    this.writes = init.writes ?? NO_WRITES
    this.where = init.where
    this.outputs = init.outputs.map((o, i) => new Value(o.shape, o.dtype, this, i, null))
  }
}

export const hostValue = (data: TypedArray, shape: Shape, dtype: DType): Value =>
  new Value(shape, dtype, null, 0, { kind: 'host', data })

/** The device a value is bound to, or null where it may be used on any. */
export function deviceOf(v: Value): DeviceName | null {
  if (v.storage?.kind === 'device') return v.storage.backend.name
  if (v.storage?.kind === 'state') return v.storage.state.device
  if (v.storage?.kind === 'host') return null
  return v.node?.device ?? null
}

let requested: Value[] = []

/** Makes a value a result of the next evaluation, whoever asks for that. */
export function requestRoot(v: Value): void {
  if (!v.storage) requested.push(v)
}

export function takeRequestedRoots(): readonly Value[] {
  const taken = requested
  requested = []
  return taken
}

/** Results this small, without a gradient, are evaluated along with other work once their chain is this long. */
const SMALL = 16
const LONG = 64

/** Keeps chains such as `total = total.add(loss.detach())` short: graphs must not grow silently. */
export function boundChain(node: Node): void {
  const [out] = node.outputs
  if (out.requiresGrad || numel(out.shape) > SMALL || node.writes.length > 0) return
  for (const v of node.inputs) if (!v.storage && v.node) node.chain = Math.max(node.chain, v.node.chain + 1)
  if (node.chain < LONG) return
  node.chain = 0
  requestRoot(out)
}
