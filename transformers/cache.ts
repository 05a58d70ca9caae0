import { isGradEnabled, type Tensor } from '../core/index.ts'
import { assignSlice, StateTensor } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'

interface Layer {
  key: State
  value: State
}

/** Capacities are multiples of this, so that lengths that grow meet few different plans. */
const STEP = 64

/** At least double, so that growing costs little in all. */
const roundUp = (tokens: number, before: number): number =>
  Math.max(Math.ceil(tokens / STEP) * STEP, before * 2)

/**
 * Keys and values of the tokens so far, for every layer: States [B, Hkv, capacity, D] that are written in place at a position
 * which is a slot of the plan, so every decoding step replays one plan. Pass the same object to the next call; turn two of
 * a chat computes only its new tokens.
 */
export class KVCache {
  /** Tokens that are filled. */
  length = 0
  /** Room in the buffers. */
  capacity: number
  private readonly layers: Layer[] = []

  /** @param options `maxLength`: tokens to make room for at once, so that the buffers need not grow */
  constructor(options: { maxLength?: number } = {}) {
    this.capacity = options.maxLength ? roundUp(options.maxLength, 0) : 0
  }

  /** Makes room for `tokens` more; buffers that grow are copied once. */
  reserve(tokens: number): void {
    const needed = this.length + tokens
    if (needed <= this.capacity) return
    this.capacity = roundUp(needed, this.capacity)
    for (const layer of this.layers) {
      layer.key = this.grown(layer.key)
      layer.value = this.grown(layer.value)
    }
  }

  private grown(old: State): State {
    const [b, h, , d] = old.shape
    const state = new State([b, h, this.capacity, d], 'float32', old.name)
    if (this.length > 0) assignSlice(state, new StateTensor(old).narrow(2, 0, this.length), 2, 0)
    return state
  }

  /**
   * Writes the keys and values of new tokens ([B, Hkv, T, D]) of one layer behind those that are there.
   * @returns all of them, [B, Hkv, capacity, D], of which `length + T` are filled
   */
  update(layer: number, key: Tensor, value: Tensor): { key: Tensor; value: Tensor } {
    if (isGradEnabled() && (key.requiresGrad || value.requiresGrad))
      throw new Error('[KVCache] no gradient flows through a cache: call the model inside noGrad(() => ...)')
    const [b, h, , d] = key.shape
    this.layers[layer] ??= {
      key: new State([b, h, this.capacity, d], 'float32', `cache.${layer}.key`),
      value: new State([b, h, this.capacity, d], 'float32', `cache.${layer}.value`),
    }
    const states = this.layers[layer]
    if (states.key.shape[0] !== b)
      throw new RangeError(`[KVCache] holds ${states.key.shape[0]} sequences, not ${b}`)
    assignSlice(states.key, key, 2, this.length)
    assignSlice(states.value, value, 2, this.length)
    return { key: new StateTensor(states.key), value: new StateTensor(states.value) }
  }

  /** Called by a model when all layers are written. */
  advance(tokens: number): void {
    this.length += tokens
  }

  /** Forgets everything behind the first `length` tokens; their room is written again. */
  truncate(length: number): void {
    if (length < 0 || length > this.length)
      throw new RangeError(`[KVCache] cannot cut to ${length} tokens, ${this.length} are there`)
    this.length = length
  }
}
