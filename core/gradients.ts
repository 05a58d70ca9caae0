/** Where gradients of leaves live: State, in a few contiguous buckets. */
import type { Value } from './graph.ts'
import { assign, StateTensor } from './ops/effects.ts'
import { Bucket, State } from './state.ts'
import { Tensor } from './tensor.ts'

/** Leaves are told apart by their State, or by their value where they are plain tensors. */
type Leaf = State | Value

/** Contiguous gradients are handed out in pieces of at most this many bytes (one bigger gradient gets its own). */
const BUCKET_BYTES = 64 * 2 ** 20

interface Slot {
  readonly state: State
  /** False after `zeroGrad()`: the next gradient overwrites instead of adding. */
  valid: boolean
}

const slots = new WeakMap<Leaf, Slot>()

export const leafOf = (value: Value): Leaf =>
  value.storage?.kind === 'state'
    ? value.storage.state
    : (value.node?.writes[value.index]?.state ?? value.firstLeaf ?? value)

/** Records the effects that write (or add to) the gradients of the leaves. */
export function accumulate(gradients: readonly { leaf: Value; grad: Tensor }[]): void {
  let bucket = new Bucket()
  let bytes = 0
  for (const { leaf, grad } of gradients) {
    const key = leafOf(leaf)
    let slot = slots.get(key)
    if (!slot) {
      const name = key instanceof State ? `${key.name}.grad` : 'grad'
      if (bytes > BUCKET_BYTES) {
        bucket = new Bucket()
        bytes = 0
      }
      slot = { state: new State(leaf.shape, 'float32', name, bucket), valid: false }
      bytes += slot.state.bytes
      slots.set(key, slot)
    }
    const before = new Tensor(slot.state.current)
    assign(slot.state, slot.valid ? before.add(grad) : grad)
    slot.valid = true
  }
}

const gradOf = (t: Tensor): StateTensor | null => {
  const slot = slots.get(leafOf(t.value))
  return slot?.valid ? new StateTensor(slot.state) : null
}

function setGrad(t: Tensor, grad: Tensor | null): void {
  const slot = slots.get(leafOf(t.value))
  if (slot) slot.valid = false
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
