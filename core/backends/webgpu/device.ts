/** A GPUDevice with its memory, its compiled code and its order of work. */
import type { TypedArray } from '../../dtype.ts'
import { Block, FreeBlocks, sizeClass, TempBlocks } from './blocks.ts'
import type { LowerLimits } from './dispatch.ts'
import { Pipelines } from './pipelines.ts'

export interface DeviceOptions {
  /** Caps on what the adapter offers; tests make tensors split with them. */
  readonly limits?: {
    readonly maxStorageBufferBindingSize?: number
    readonly maxStorageBuffersPerShaderStage?: number
  }
  /** Bytes of free buffers kept for reuse; default 256 MiB. */
  readonly poolBytes?: number
  /** Checks every run with an error scope, so that it rejects with WebGPU's message. Slow. */
  readonly validate?: boolean
  /** Sees the WGSL of every kernel when it is compiled. */
  readonly onSource?: (label: string, wgsl: string) => void
}

// GPUBufferUsage and GPUMapMode are not global in Node
export const USAGE = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128 } as const
const MAP_READ = 1
const STAGING_BYTES = 64 * 2 ** 20
const MAX_IN_FLIGHT = 4

export class GpuDevice {
  readonly gpu: GPUDevice
  readonly pipelines: Pipelines
  readonly limits: LowerLimits & { readonly maxBufferBytes: number; readonly maxGroups: number }
  readonly validate: boolean
  readonly temps: TempBlocks
  /** Counts runs. */
  runs = 0
  private readonly poolBytes: number
  private readonly free = new FreeBlocks()
  private readonly staging = new FreeBlocks()
  private given = 0
  private created = 0
  private tail: Promise<void> | null = null
  private failure: Error | null = null
  private closed = false
  private readonly inFlight: Promise<unknown>[] = []

  constructor(gpu: GPUDevice, options: DeviceOptions, software: boolean) {
    this.gpu = gpu
    this.pipelines = new Pipelines(gpu, options.onSource)
    this.validate = options.validate ?? false
    this.poolBytes = options.poolBytes ?? 256 * 2 ** 20
    const { maxStorageBufferBindingSize: bytes, maxStorageBuffersPerShaderStage: count } = gpu.limits
    this.limits = {
      maxBindingBytes: Math.min(bytes, options.limits?.maxStorageBufferBindingSize ?? bytes),
      maxStorageBuffers: Math.min(count, options.limits?.maxStorageBuffersPerShaderStage ?? count),
      unroll: !software,
      maxBufferBytes: gpu.limits.maxBufferSize,
      maxGroups: gpu.limits.maxComputeWorkgroupsPerDimension,
    }
    this.temps = new TempBlocks((n) => this.createBlock(n, USAGE.storage | USAGE.copySrc | USAGE.copyDst))
    gpu.lost.then((info) => {
      if (!this.closed)
        this.failure = new Error(
          `[webgpu] the device was lost (${info.reason}): ${info.message || 'no message'}; its tensors are gone. Smaller batches avoid the driver's time limit; start again with setDefaultDevice`,
        )
    })
    gpu.onuncapturederror = (event) => {
      const memory = /out.?of.?memory/i.test(`${event.error.constructor.name} ${event.error.message}`)
      this.failure ??= new Error(
        memory
          ? `[webgpu] out of device memory (${this.created} bytes in use): use a smaller batch or the device cpu`
          : `[webgpu] ${event.error.message}`,
      )
    }
  }

  /** Throws what went wrong on the device since the last check. */
  check(): void {
    if (this.closed) throw new Error('[webgpu] the device was shut down')
    const { failure } = this
    if (!failure) return
    if (!failure.message.includes('device was lost')) this.failure = null
    throw failure
  }

  /**
   * Calls `action` after everything enqueued before it and after `ready`: at once where nothing is waited for. Keeps the
   * order of runs, uploads, downloads and destroys while pipelines compile.
   */
  enqueue(ready: Promise<unknown> | null, action: () => void): Promise<void> | null {
    if (!this.tail && !ready) {
      action()
      return null
    }
    const result = Promise.all([this.tail, ready]).then(action)
    const tail = Promise.allSettled([this.tail, result]).then(() => {
      if (this.tail === tail) this.tail = null
    })
    this.tail = tail
    return result
  }

  submit(commands: GPUCommandBuffer[]): void {
    this.gpu.queue.submit(commands)
    this.inFlight.push(
      this.gpu.queue.onSubmittedWorkDone().catch(() => {
        // a lost device is reported by check()
      }),
    )
  }

  /** Waits until few submissions are under way, so that a loop that never reads does not queue without end. */
  async backPressure(): Promise<void> {
    while (this.inFlight.length > MAX_IN_FLIGHT) await this.inFlight.shift()
  }

  createBlock(bytes: number, usage: number): Block {
    if (bytes > this.limits.maxBufferBytes)
      throw new RangeError(
        `[webgpu] ${bytes} bytes for one tensor, and the adapter allows ${this.limits.maxBufferBytes}: use a smaller batch or the device cpu`,
      )
    const block = new Block(this.gpu.createBuffer({ size: bytes, usage }), bytes)
    this.created += bytes
    return block
  }

  /** Destroys blocks after the work enqueued so far. */
  destroyBlocks(blocks: readonly Block[]): void {
    if (blocks.length > 0) this.enqueue(null, () => this.destroyNow(blocks))
  }

  /** Destroys blocks that only submitted work uses. */
  destroyNow(blocks: readonly Block[]): void {
    if (blocks.length === 0) return
    for (const b of blocks) {
      b.destroy()
      this.created -= b.bytes
    }
    // Dawn gives memory back at the next submit only
    this.gpu.queue.submit([])
  }

  allocate(bytes: number): Block {
    if (this.closed) this.check()
    const size = sizeClass(bytes)
    const block =
      this.free.take(size) ?? this.createBlock(size, USAGE.storage | USAGE.copySrc | USAGE.copyDst)
    this.given += size
    return block
  }

  release(block: Block): void {
    if (this.closed) return
    this.given -= block.bytes
    this.free.put(block)
    this.destroyBlocks(this.free.evict(this.poolBytes))
  }

  /** `data` may be changed after the call. */
  upload(block: Block, byteOffset: number, data: TypedArray): void {
    this.check()
    if (data.byteLength === 0) return
    let bytes: Uint8Array<ArrayBuffer>
    const waits = this.tail !== null
    if (waits || data.byteLength % 4 !== 0 || !(data.buffer instanceof ArrayBuffer)) {
      bytes = new Uint8Array(Math.ceil(data.byteLength / 4) * 4)
      bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    } else bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.enqueue(null, () => {
      for (let at = 0; at < bytes.length; at += STAGING_BYTES) {
        const size = Math.min(STAGING_BYTES, bytes.length - at)
        this.gpu.queue.writeBuffer(block.gpu, byteOffset + at, bytes, at, size)
        // lets Dawn recycle its staging memory
        if (size === STAGING_BYTES) this.gpu.queue.submit([])
      }
    })
  }

  async download(block: Block, byteOffset: number, into: TypedArray): Promise<void> {
    this.check()
    const target = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
    for (let at = 0; at < target.length; at += STAGING_BYTES)
      await this.downloadPart(
        block,
        byteOffset + at,
        target.subarray(at, Math.min(target.length, at + STAGING_BYTES)),
      )
  }

  private async downloadPart(block: Block, byteOffset: number, target: Uint8Array): Promise<void> {
    const start = Math.floor(byteOffset / 4) * 4
    const size = Math.ceil((byteOffset + target.length) / 4) * 4 - start
    const stagingSize = sizeClass(size)
    const staging =
      this.staging.take(stagingSize) ?? this.createBlock(stagingSize, USAGE.mapRead | USAGE.copyDst)
    let mapped: Promise<undefined> | undefined
    await this.enqueue(null, () => {
      const encoder = this.gpu.createCommandEncoder({ label: 'download' })
      encoder.copyBufferToBuffer(block.gpu, start, staging.gpu, 0, size)
      this.gpu.queue.submit([encoder.finish()])
      mapped = staging.gpu.mapAsync(MAP_READ, 0, size)
    })
    try {
      await mapped
    } catch (cause) {
      this.destroyBlocks([staging])
      this.check()
      throw new Error(`[webgpu] reading a tensor failed: ${(cause as Error).message}`, { cause })
    }
    target.set(new Uint8Array(staging.gpu.getMappedRange(0, size), byteOffset - start, target.length))
    staging.gpu.unmap()
    this.staging.put(staging)
    this.destroyBlocks(this.staging.evict(STAGING_BYTES))
    this.check()
  }

  memory() {
    return { arena: this.temps.bytes, buffers: this.given, reserved: this.created }
  }

  trim(): void {
    this.destroyBlocks([...this.free.evict(0), ...this.staging.evict(0), ...this.temps.clear()])
  }

  /** Destroys the device after the work that is under way. */
  async close(): Promise<void> {
    if (this.closed) return
    await this.tail
    await Promise.all(this.inFlight.splice(0))
    this.closed = true
    for (const b of [...this.free.evict(0), ...this.staging.evict(0), ...this.temps.clear()]) b.destroy()
    this.gpu.onuncapturederror = null
    this.gpu.destroy()
    await this.gpu.lost
  }
}
