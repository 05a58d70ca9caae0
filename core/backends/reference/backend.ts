import type { Backend, BackendMemory, Binding, DeviceBuffer, Executable, KernelTimer } from '../../backend.ts'
import { dtypeInfo, type TypedArray } from '../../dtype.ts'
import type { Kernel, KernelPlan } from '../../plan/kernel.ts'
import { compileCall } from './calls.ts'
import { compileMap, compileReduce, extent, type Placed, type Run } from './loops.ts'
import { ReferenceBuffer } from './memory.ts'

export interface ReferenceOptions {
  /**
   * Floats are kept and computed in float64, for finite differences: upload from and download into a Float64Array for all
   * digits. Sizes in bytes stay those of 32-bit elements.
   */
  readonly float64?: boolean
}

/** The oracle of the tests: plain JavaScript, one element after the other. Sums run in float64 in both modes. */
export class ReferenceBackend implements Backend {
  readonly name = 'reference'
  readonly description: string
  readonly synchronous = true
  readonly float64: boolean
  private readonly buffers = new Set<ReferenceBuffer>()
  private readonly executables = new Set<ReferenceExecutable>()

  constructor(options: ReferenceOptions = {}) {
    this.float64 = options.float64 ?? false
    this.description = this.float64 ? 'reference, float64' : 'reference'
  }

  supports(): boolean {
    return true
  }

  allocate(bytes: number): DeviceBuffer {
    const buffer = new ReferenceBuffer(bytes, this.float64)
    buffer.poison()
    this.buffers.add(buffer)
    return buffer
  }

  free(buffer: DeviceBuffer): void {
    this.buffers.delete(own(buffer))
  }

  upload(buffer: DeviceBuffer, byteOffset: number, data: TypedArray): void {
    own(buffer).write(byteOffset, data)
  }

  downloadSync(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): void {
    own(buffer).read(byteOffset, into)
  }

  async download(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): Promise<void> {
    this.downloadSync(buffer, byteOffset, into)
  }

  prepare(plan: KernelPlan): Executable {
    for (const k of plan.kernels) checkBounds(k, plan)
    const executable = new ReferenceExecutable(plan, this.float64, () => this.executables.delete(executable))
    this.executables.add(executable)
    return executable
  }

  memory(): BackendMemory {
    const sum = (items: Iterable<number>) => [...items].reduce((a, b) => a + b, 0)
    const arena = sum([...this.executables].map((e) => e.residentBytes))
    const buffers = sum([...this.buffers].map((b) => b.bytes))
    return { arena, buffers, reserved: arena + buffers }
  }

  trim(): void {
    for (const e of this.executables) e.trim()
  }

  async shutdown(): Promise<void> {
    this.executables.clear()
    this.buffers.clear()
  }
}

export const createReferenceBackend = (options?: ReferenceOptions): ReferenceBackend =>
  new ReferenceBackend(options)

class ReferenceExecutable implements Executable {
  readonly arenaBytes: number
  onKernel: KernelTimer | null = null
  private readonly plan: KernelPlan
  private readonly float64: boolean
  private readonly kernels: ((run: Run) => void)[]
  private readonly onDispose: () => void
  /** The temps of the last run, by plan buffer. */
  private temps = new Map<number, ReferenceBuffer>()

  constructor(plan: KernelPlan, float64: boolean, onDispose: () => void) {
    this.plan = plan
    this.float64 = float64
    this.onDispose = onDispose
    this.kernels = plan.kernels.map((k) => compile(k, float64))
    this.arenaBytes = plan.buffers.reduce((sum, b) => sum + (b.kind === 'temp' ? b.bytes : 0), 0)
  }

  get residentBytes(): number {
    let sum = 0
    for (const t of this.temps.values()) sum += t.bytes
    return sum
  }

  runSync(bindings: readonly Binding[], scalars: readonly number[]): void {
    if (scalars.length < this.plan.scalarCount)
      throw new RangeError(
        `[reference] the plan takes ${this.plan.scalarCount} scalars, got ${scalars.length}`,
      )
    const placed = this.plan.buffers.map((b, i): Placed => {
      if (b.kind === 'temp') return { buffer: this.temp(i, b.bytes), offset: 0 }
      const { buffer, offset } = bindings[b.binding]
      if (offset % 256 !== 0 || offset + b.bytes > buffer.bytes)
        throw new RangeError(
          `[reference] binding ${b.binding}: ${b.bytes} bytes at ${offset} do not fit a buffer of ${buffer.bytes} bytes, or the offset is not a multiple of 256`,
        )
      return { buffer: own(buffer), offset }
    })
    const run = { placed, scalars, float64: this.float64 }
    for (const [i, kernel] of this.kernels.entries()) {
      const start = this.onKernel ? performance.now() : 0
      kernel(run)
      this.onKernel?.(i, performance.now() - start)
    }
  }

  async run(bindings: readonly Binding[], scalars: readonly number[]): Promise<void> {
    this.runSync(bindings, scalars)
  }

  /** Fresh NaNs at every run, so that a read before the write shows. */
  private temp(index: number, bytes: number): ReferenceBuffer {
    let buffer = this.temps.get(index)
    if (!buffer) this.temps.set(index, (buffer = new ReferenceBuffer(bytes, this.float64)))
    buffer.poison()
    return buffer
  }

  trim(): void {
    this.temps = new Map()
  }

  dispose(): void {
    this.trim()
    this.onDispose()
  }
}

function own(buffer: DeviceBuffer): ReferenceBuffer {
  if (buffer instanceof ReferenceBuffer) return buffer
  throw new TypeError('[reference] this buffer belongs to another device')
}

function compile(k: Kernel, float64: boolean): (run: Run) => void {
  if (k.kind === 'map') return compileMap(k, float64)
  return k.kind === 'reduce' ? compileReduce(k, float64) : compileCall(k)
}

/** Throws where an operand would leave its buffer: an error of the planner that other backends may not notice. */
function checkBounds(k: Kernel, plan: KernelPlan): void {
  const operands =
    k.kind === 'call'
      ? [...k.inputs, ...k.outputs].map((o) => ({ shape: o.shape, o }))
      : [...k.loads, ...k.stores.map((s) => s.operand)].map((o) => ({ shape: k.shape, o }))
  for (const { shape, o } of operands) {
    const range = o.buffer < 0 ? null : extent(shape, o)
    if (!range) continue
    const available = Math.floor(plan.buffers[o.buffer].bytes / dtypeInfo(o.dtype).deviceBytes)
    if (range[0] < 0 || range[1] >= available)
      throw new RangeError(
        `[${k.label}] an operand reads elements ${range[0]} to ${range[1]} of buffer ${o.buffer}, which has ${available}`,
      )
  }
}
