/** Memory that outlives an evaluation: parameters, gradients, optimizer moments, KV caches. */
import type { Backend, Binding, DeviceName } from './backend.ts'
import { type DType, dtypeInfo, type TypedArray } from './dtype.ts'
import { Value } from './graph.ts'
import { numel, type Shape } from './shape.ts'
import type { Tensor } from './tensor.ts'

const ALIGN = 256

/** One device buffer that holds several States back to back, so that e.g. all gradients can be reduced in few calls. */
export class Bucket {
  private bytes = 0
  private live = 0
  private owner: { backend: Backend; binding: Binding } | null = null

  /** Room for one more State; only before the first use. */
  reserve(bytes: number): number {
    const at = this.bytes
    this.bytes += Math.ceil(bytes / ALIGN) * ALIGN
    this.live++
    return at
  }

  bind(backend: Backend, at: number): Binding {
    if (!this.owner) {
      const buffer = backend.allocate(this.bytes)
      this.owner = { backend, binding: { buffer, offset: 0 } }
    } else if (this.owner.backend !== backend)
      throw new Error(
        `[State] is on ${this.owner.backend.name}, not on ${backend.name}: move it with to('${backend.name}')`,
      )
    return { buffer: this.owner.binding.buffer, offset: at }
  }

  get allocatedBytes(): number {
    return this.owner ? this.bytes : 0
  }

  release(): void {
    if (--this.live === 0 && this.owner) {
      this.owner.backend.free(this.owner.binding.buffer)
      this.owner = null
      buckets.delete(this)
    }
  }
}

const buckets = new Set<Bucket>()

/** Bytes that all States hold on devices. */
export const stateBytes = (): number => {
  let sum = 0
  for (const b of buckets) sum += b.allocatedBytes
  return sum
}

const collected = new FinalizationRegistry<Bucket>((bucket) => bucket.release())

/** Updates of a State that were put off row by row; see `nn/optim/lazy-rows.ts`. */
export interface Behind {
  /** Records what brings all rows up to date. */
  catchUp(): void
  /** Rows [N, D] as they would be by now, without bringing them there. */
  rowsAt(ids: ArrayLike<number>): Tensor
  /** The State gets other contents, so nothing has to be made up for in it. */
  replaced(state: State): void
}

/**
 * A named buffer with versions. Reading it gives the version at that point of the program; `assign` (see
 * `ops/effects.ts`) makes the next one. The device buffer is made at first use.
 */
export class State {
  readonly shape: Shape
  readonly dtype: DType
  name: string
  /** Null until the first evaluation binds it. */
  device: DeviceName | null = null
  /** The version that the device buffer holds (or will hold when the plans run so far are done). */
  version = 0
  /** Updates that rows of it still miss. Whatever reads the State as a whole makes up for them. */
  behind: Behind | null = null
  /** What a read means now: a storage of the newest version, or the output of a pending assign. */
  #current: Value
  /** The newest version that was given out, pending or not. */
  private latest = 0
  private bucket: Bucket
  private at: number
  private pendingUpload: TypedArray | null = null
  private initialized = false

  constructor(shape: Shape, dtype: DType, name: string, bucket = new Bucket()) {
    this.shape = shape
    this.dtype = dtype
    this.name = name
    this.bucket = bucket
    this.at = bucket.reserve(Math.max(4, numel(shape) * dtypeInfo(dtype).deviceBytes))
    buckets.add(bucket)
    collected.register(this, bucket, this)
    this.#current = this.valueOfVersion(0)
  }

  /** The newest version, with all of its rows up to date. */
  get current(): Value {
    this.behind?.catchUp()
    return this.#current
  }

  /** The newest version as it is, for those who need no elements, or know about rows that are behind. */
  get peek(): Value {
    return this.#current
  }

  get bytes(): number {
    return numel(this.shape) * dtypeInfo(this.dtype).deviceBytes
  }

  valueOfVersion(version: number): Value {
    return new Value(this.shape, this.dtype, null, 0, { kind: 'state', state: this, version })
  }

  /** Replaces the contents by host elements (host layout); later reads see them, earlier pending ones must have run. */
  write(data: TypedArray): void {
    if (data.length !== numel(this.shape))
      throw new RangeError(`[State] ${this.name} has ${numel(this.shape)} elements, not ${data.length}`)
    this.behind?.replaced(this)
    this.pendingUpload = data
    this.initialized = true
    this.version = this.nextVersion()
    this.advance(this.valueOfVersion(this.version))
  }

  /**
   * The same straight in a device's memory: `fill` gets the bytes, in device layout. For large contents that come from elsewhere,
   * which are then in memory once. The State belongs to the device from then on.
   */
  async fill(backend: Backend, fill: (bytes: Uint8Array) => Promise<unknown>): Promise<void> {
    if (!backend.bytesOf) throw new Error(`[State] the memory of ${backend.name} cannot be filled from here`)
    this.pendingUpload = null
    const { buffer, offset } = this.bind(backend)
    await fill(backend.bytesOf(buffer, offset, this.bytes))
    this.initialized = true
    this.version = this.nextVersion()
    this.advance(this.valueOfVersion(this.version))
  }

  /** Makes `next` what a read means; what users attached to the State (gradient, hooks) stays with it. */
  advance(next: Value): void {
    next.requiresGrad = this.#current.requiresGrad
    next.hooks = this.#current.hooks
    this.#current = next
  }

  /** The number of the version that the next write makes. */
  nextVersion(): number {
    return ++this.latest
  }

  /** The buffer for one run of a plan, with host contents uploaded. */
  bind(backend: Backend): Binding {
    const binding = this.bucket.bind(backend, this.at)
    this.device = backend.name
    if (this.pendingUpload) {
      backend.upload(binding.buffer, binding.offset, toDeviceLayout(this.pendingUpload, this.dtype))
      this.pendingUpload = null
    }
    return binding
  }

  /** Leaves the device with these contents: the next use binds it anew, wherever that is. */
  leave(data: TypedArray): void {
    collected.unregister(this)
    this.bucket.release()
    this.bucket = new Bucket()
    this.at = this.bucket.reserve(Math.max(4, this.bytes))
    buckets.add(this.bucket)
    collected.register(this, this.bucket, this)
    this.device = null
    this.write(data)
  }

  /** Called by the evaluator when an assign has run. */
  written(version: number): void {
    this.version = version
    this.initialized = true
  }

  /** Throws where nothing was ever written. */
  checkReadable(version: number): void {
    if (version !== this.version)
      throw new Error(
        `[State] ${this.name} was overwritten since this tensor was made (version ${version}, now ${this.version}): read or retain() it before the assignment`,
      )
    if (!this.initialized)
      throw new Error(`[State] ${this.name} is read before anything was written to it: initialise or load it`)
  }
}

/** Bools take a 32-bit word on devices; everything else is stored as it is. */
export const toDeviceLayout = (data: TypedArray, dtype: DType): TypedArray =>
  dtype === 'bool' ? Int32Array.from(data, (x) => (x ? 1 : 0)) : data
