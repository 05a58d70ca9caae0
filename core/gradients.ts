/** Where gradients of leaves live: State, in a few contiguous buckets. */
import type { Value } from './graph.ts'
import { noGrad } from './modes.ts'
import { assign, StateTensor } from './ops/effects.ts'
import { RowGradient, scatteredRows } from './row-gradient.ts'
import type { Shape } from './shape.ts'
import { Bucket, State } from './state.ts'
import { Tensor } from './tensor.ts'

/** Leaves are told apart by their State, or by their value where they are plain tensors. */
type Leaf = State | Value

/** Contiguous gradients are handed out in pieces of at most this many bytes (one bigger gradient gets its own). */
const BUCKET_BYTES = 64 * 2 ** 20

interface Slot {
  /** Null while the gradient was only ever a few rows. */
  state: State | null
  /** False after `zeroGrad()`: the next gradient overwrites instead of adding. */
  valid: boolean
  /** A gradient of a few rows only, which is not in `state` yet. */
  rows: RowGradient | null
}

const slots = new WeakMap<Leaf, Slot>()

export const leafOf = (value: Value): Leaf =>
  value.storage?.kind === 'state'
    ? value.storage.state
    : (value.node?.writes[value.index]?.state ?? value.firstLeaf ?? value)

const leafOfTensor = (t: Tensor): Leaf => (t instanceof StateTensor ? t.state : leafOf(t.value))

/** Records the effects that write (or add to) the gradients of the leaves. */
export function accumulate(gradients: readonly { leaf: Value; grad: Tensor }[]): void {
  let bucket = new Bucket()
  let bytes = 0
  for (const { leaf, grad } of gradients) {
    const key = leafOf(leaf)
    let slot = slots.get(key)
    if (!slot) slots.set(key, (slot = { state: null, valid: false, rows: null }))
    if (key instanceof State && addRows(slot, key, grad)) continue
    if (!slot.state) {
      if (bytes > BUCKET_BYTES) {
        bucket = new Bucket()
        bytes = 0
      }
      slot.state = newState(key, leaf.shape, bucket)
      bytes += slot.state.bytes
    }
    settleRows(slot, key)
    addDense(slot, slot.state, grad)
  }
}

const newState = (key: Leaf, shape: Shape, bucket: Bucket): State =>
  new State(shape, 'float32', key instanceof State ? `${key.name}.grad` : 'grad', bucket)

function addDense(slot: Slot, state: State, grad: Tensor): void {
  assign(state, slot.valid ? new Tensor(state.current).add(grad) : grad)
  slot.valid = true
}

/** Keeps a gradient as rows where it is that; false where it has to be added as a whole. */
function addRows(slot: Slot, leaf: State, grad: Tensor): boolean {
  const scattered = slot.valid ? null : scatteredRows(grad)
  if (!scattered || slot.rows?.hasRoomFor(scattered.ids.length) === false) return false
  slot.rows ??= new RowGradient(leaf.shape, `${leaf.name}.grad rows`)
  slot.rows.append(scattered)
  return true
}

/** Somebody wants the whole gradient: rows are added up into it. */
function settleRows(slot: Slot, key: Leaf): void {
  const { rows } = slot
  if (!rows || rows.count === 0) return
  slot.state ??= newState(key, (key as State).shape, new Bucket())
  const whole = noGrad(() => rows.dense())
  rows.clear()
  addDense(slot, slot.state, whole)
}

const gradOf = (t: Tensor): StateTensor | null => {
  const key = leafOfTensor(t)
  const slot = slots.get(key)
  if (!slot) return null
  settleRows(slot, key)
  return slot.valid ? new StateTensor(slot.state!) : null
}

/** The gradient of a leaf while it is a few rows of a table; null where it is whole, or there is none. */
export function rowGradientOf(t: Tensor): RowGradient | null {
  const rows = slots.get(leafOfTensor(t))?.rows
  return rows && rows.count > 0 ? rows : null
}

function setGrad(t: Tensor, grad: Tensor | null): void {
  const slot = slots.get(leafOfTensor(t))
  if (slot) {
    slot.valid = false
    slot.rows?.clear()
  }
  if (grad) accumulate([{ leaf: t.value, grad }])
}

/** Makes the next gradient overwrite; memory stays for it. */
export const zeroGrad = (tensors: Iterable<Tensor>): void => {
  for (const t of tensors) setGrad(t, null)
}

declare module './tensor.ts' {
  interface Tensor {
    /** The gradient that `backward()` left, or null. Setting null clears it. */
    grad: Tensor | null
  }
}
Object.defineProperty(Tensor.prototype, 'grad', {
  get(this: Tensor) {
    return gradOf(this)
  },
  set(this: Tensor, grad: Tensor | null) {
    setGrad(this, grad)
  },
  configurable: true,
})
