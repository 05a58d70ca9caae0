import type { TypedArray } from './dtype.ts'
import type { CallKernel, KernelPlan, MapKernel } from './plan/kernel.ts'

export type DeviceName = 'cpu' | 'webgpu' | 'reference'

/** A piece of device memory; each backend keeps its own handle in a class that implements this. */
export interface DeviceBuffer {
  readonly bytes: number
}

/** What an external buffer of a plan is at one run. */
export interface Binding {
  readonly buffer: DeviceBuffer
  /** In bytes; a multiple of 256 (so that WebGPU can bind it). */
  readonly offset: number
}

/** Told what a kernel took; see `Executable.onKernel`. */
export type KernelTimer = (kernel: number, milliseconds: number) => void

export interface Executable {
  /** Bytes of intermediates: what the plan needs of the arena. */
  readonly arenaBytes: number
  /**
   * Runs the plan; `bindings[i]` is for the external buffer with `binding` i, `scalars[i]` for slot i. A backend whose
   * `synchronous` is true has finished when `runSync` returns. `run` resolves when a `download` would see the results
   * (queued work counts).
   */
  run(bindings: readonly Binding[], scalars: readonly number[]): Promise<void>
  runSync?(bindings: readonly Binding[], scalars: readonly number[]): void
  /**
   * While set, a run tells after each kernel its number and the milliseconds that it took, or -1 for what it cannot tell
   * apart. Slower: kernels run one by one.
   */
  onKernel?: KernelTimer | null
  /** The generated code and how it is run, a line each: debug level 4. */
  describe?(): string
  /** Frees what belongs to this plan alone. */
  dispose(): void
}

export interface BackendMemory {
  /** Bytes of the arena (or the pool of intermediates) now. */
  readonly arena: number
  /** Bytes in buffers given out by `allocate`. */
  readonly buffers: number
  /** Bytes taken from the system in all. */
  readonly reserved: number
}

/** A device that runs plans. One instance per device name, made by `core/device.ts`. */
export interface Backend {
  readonly name: DeviceName
  /** For notices: "cpu, 2 threads, relaxed SIMD" or the adapter's name. */
  readonly description: string
  /** True where memory can be read and plans run without awaiting. */
  readonly synchronous: boolean
  /** True where floats are kept in float64: reading gives Float64Arrays then. Only the reference can. */
  readonly float64?: boolean
  /** Whether there is a kernel for this call (its buffers are not numbered yet); otherwise the op is decomposed. */
  supports(call: Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>): boolean
  /**
   * Whether this product's kernel can apply a map over [all rows, N] to its result as it is made, and gains by it; never,
   * where it is absent.
   */
  takesEpilogue?(product: CallKernel, map: MapKernel): boolean
  /** Contents are undefined. Throws one clear error when memory is short. */
  allocate(bytes: number): DeviceBuffer
  free(buffer: DeviceBuffer): void
  /** Copies host elements (in device layout: bools as 32-bit words) into the buffer. */
  upload(buffer: DeviceBuffer, byteOffset: number, data: TypedArray): void
  /** A buffer's bytes themselves, in device layout, where JavaScript reaches them: for filling it straight from a file. */
  bytesOf?(buffer: DeviceBuffer, byteOffset: number, bytes: number): Uint8Array
  /** Copies out; waits for queued work that writes the buffer. */
  download(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): Promise<void>
  downloadSync?(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): void
  /** Compiles what is new; throws for a kernel it does not support. */
  prepare(plan: KernelPlan): Executable
  memory(): BackendMemory
  /** Gives back what is not in use: cached code stays, the arena and free pools go. */
  trim(): void
  shutdown(): Promise<void>
}
