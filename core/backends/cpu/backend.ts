import type { Backend, BackendMemory, Binding, DeviceBuffer, Executable, KernelTimer } from '../../backend.ts'
import type { TypedArray } from '../../dtype.ts'
import type { CallKernel, KernelPlan, MapKernel } from '../../plan/kernel.ts'
import { turn } from '../../turn.ts'
import { isGemm, runGemm } from './blas/gemm.ts'
import type { Blas } from './blas/library.ts'
import { CodeTable } from './code-table.ts'
import { CONTROL, CONTROL_BYTES } from './control.ts'
import type { CpuFeatures } from './dispatch.ts'
import { CpuBuffer, type HeapOptions, SharedHeap } from './heap.ts'
import { supportsCall } from './kernels/index.ts'
import { takesEpilogue } from './kernels/matmul.ts'
import { Program } from './program.ts'
import { TeamThread } from './team.ts'
import { WorkerPool } from './threads.ts'

/** Milliseconds of work after which an asynchronous run lets the event loop turn. */
const SLICE = 50

/** Nanoseconds of work that could be shared, from which workers are started: a script of a few small ops needs none. */
const WORTH_WORKERS = 3_000_000

export interface CpuSettings {
  /** The calling thread included. */
  readonly threads: number
  readonly mainThread: boolean
  readonly features: CpuFeatures
  readonly heap: HeapOptions
  readonly shareAlways: boolean
  /** Finds the system BLAS: asked when the first product is worth it. */
  readonly findBlas: () => Blas | null
}

/** A plan that runs or waits for its turn. */
interface Job {
  readonly program: Program
  readonly bindings: readonly Binding[]
  readonly scalars: readonly number[]
  readonly onKernel: KernelTimer | null
  /** Next entry; -1 before it starts. */
  next: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** A browser's main thread may not sleep: waiting throws there. */
const mayWait = (): boolean => typeof (globalThis as { document?: unknown }).document === 'undefined'

export class CpuBackend implements Backend {
  readonly name = 'cpu'
  readonly synchronous: boolean
  readonly #settings: CpuSettings
  readonly #heap: SharedHeap
  readonly #code: CodeTable
  readonly #caller: TeamThread
  readonly #pool: WorkerPool
  readonly #programs = new Set<Program>()
  #arena = { address: 0, bytes: 0 }
  #local = { address: 0, stride: 0 }
  #bufferBytes = 0
  #jobs: Job[] = []
  /** Estimated nanoseconds that workers could have shared so far. */
  #sharedWork = 0
  #isPumping = false
  #pumped = Promise.resolve()
  #isStopped = false
  #foundBlas: Blas | null | undefined

  constructor(settings: CpuSettings) {
    const { threads, mainThread } = settings
    this.#settings = settings
    this.#heap = new SharedHeap(CONTROL_BYTES, settings.heap)
    const { memory, addressBits } = this.#heap
    this.#code = new CodeTable(this.#heap)
    this.#caller = new TeamThread(memory, addressBits, 0, mayWait())
    this.#pool = new WorkerPool(memory, addressBits, mainThread ? threads - 1 : threads, !mainThread)
    this.synchronous = mainThread
  }

  get description(): string {
    const { threads, mainThread, features } = this.#settings
    const blas = this.#blas()
    const parts = [
      `cpu, ${threads} ${threads === 1 ? 'thread' : 'threads'}`,
      `${features.relaxedSimd ? 'relaxed ' : ''}SIMD${features.wideSimd ? ' of 256 bits' : ''}`,
      this.#heap.addressBits === 64 && '64-bit addresses',
      blas?.name,
      !mainThread && 'off the main thread',
    ]
    return parts.filter(Boolean).join(', ')
  }

  supports(call: Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>): boolean {
    return supportsCall(call)
  }

  takesEpilogue(product: CallKernel, map: MapKernel): boolean {
    return takesEpilogue(product, map) && !(isGemm(product) && this.#blas())
  }

  allocate(bytes: number): DeviceBuffer {
    const buffer = new CpuBuffer(this.#heap.allocate(bytes), bytes)
    this.#bufferBytes += bytes
    return buffer
  }

  free(buffer: DeviceBuffer): void {
    // buffers of before a shutdown went with the memory
    if (this.#isStopped) return
    this.#heap.free((buffer as CpuBuffer).address)
    this.#bufferBytes -= buffer.bytes
  }

  upload(buffer: DeviceBuffer, byteOffset: number, data: TypedArray): void {
    if (data instanceof Float64Array)
      throw new TypeError('[cpu] float64 data has no device layout here: convert it to Float32Array first')
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    this.#heap.u8.set(bytes, this.#range(buffer, byteOffset, data.byteLength))
  }

  /** Shared memory stays where it is when it grows, so the view stays good. */
  bytesOf(buffer: DeviceBuffer, byteOffset: number, bytes: number): Uint8Array {
    const address = this.#range(buffer, byteOffset, bytes)
    return this.#heap.u8.subarray(address, address + bytes)
  }

  async download(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): Promise<void> {
    await this.#pumped
    this.#copyOut(buffer, byteOffset, into)
  }

  downloadSync(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): void {
    this.#checkSynchronous()
    this.#drain()
    this.#copyOut(buffer, byteOffset, into)
  }

  #copyOut(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): void {
    const address = this.#range(buffer, byteOffset, into.byteLength)
    const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength)
    bytes.set(this.#heap.u8.subarray(address, address + into.byteLength))
  }

  #range(buffer: DeviceBuffer, byteOffset: number, bytes: number): number {
    if (byteOffset + bytes > buffer.bytes)
      throw new RangeError(
        `[cpu] bytes ${byteOffset} to ${byteOffset + bytes} lie outside a buffer of ${buffer.bytes} bytes`,
      )
    return (buffer as CpuBuffer).address + byteOffset
  }

  prepare(plan: KernelPlan): Executable {
    const program = new Program(plan, {
      heap: this.#heap,
      code: this.#code,
      features: this.#settings.features,
      blas: this.#blas,
      shareAlways: this.#settings.shareAlways,
    })
    this.#programs.add(program)
    const executable: Executable = {
      arenaBytes: program.arenaBytes,
      onKernel: null,
      run: (bindings, scalars) => this.#run(program, bindings, scalars, executable.onKernel ?? null),
      runSync: (bindings, scalars) => this.#runSync(program, bindings, scalars, executable.onKernel ?? null),
      describe: () => program.describe(),
      dispose: () => {
        this.#programs.delete(program)
        this.#freeIfUnused(program)
      },
    }
    return executable
  }

  memory(): BackendMemory {
    return { arena: this.#arena.bytes, buffers: this.#bufferBytes, reserved: this.#heap.reserved }
  }

  /** The memory itself cannot shrink; what is given back is free for other buffers. */
  trim(): void {
    if (this.#jobs.length > 0 || this.#isStopped) return
    if (this.#arena.bytes > 0) this.#heap.free(this.#arena.address)
    if (this.#local.stride > 0) this.#heap.free(this.#local.address)
    this.#arena = { address: 0, bytes: 0 }
    this.#local = { address: 0, stride: 0 }
  }

  async shutdown(): Promise<void> {
    this.#isStopped = true
    await this.#pool.stop()
  }

  /** Starts the worker threads and waits until they are up; plans do the first unasked, and never wait. */
  async startWorkers(): Promise<void> {
    this.#pool.start()
    while (Atomics.load(this.#heap.i32, CONTROL.ready) < this.#pool.size && !this.#isStopped)
      await new Promise((resolve) => setTimeout(resolve, 2))
  }

  // Running

  /** Only for the calling thread: none where all work happens on workers. */
  readonly #blas = (): Blas | null => {
    if (this.#foundBlas !== undefined) return this.#foundBlas
    const blas = this.#settings.mainThread ? this.#settings.findBlas() : null
    if (blas) {
      const base = blas.baseOf(this.#heap.memory)
      this.#caller.native = (words, args) => {
        blas.setThreads(this.#settings.threads)
        runGemm(blas, words, args, base, this.#heap.addressBits)
      }
    }
    this.#foundBlas = blas
    return blas
  }

  #run(
    program: Program,
    bindings: readonly Binding[],
    scalars: readonly number[],
    onKernel: KernelTimer | null,
  ): Promise<void> {
    this.#checkRunning()
    return new Promise<void>((resolve, reject) => {
      this.#jobs.push({ program, bindings, scalars, onKernel, next: -1, resolve, reject })
      // what fits into one slice is done before this returns
      if (!this.#isPumping) this.#pumped = this.#pump()
    })
  }

  #runSync(
    program: Program,
    bindings: readonly Binding[],
    scalars: readonly number[],
    onKernel: KernelTimer | null,
  ): void {
    this.#checkSynchronous()
    this.#checkRunning()
    this.#drain()
    let failure: unknown = null
    const reject = (error: unknown) => {
      failure = error
    }
    this.#jobs.push({ program, bindings, scalars, onKernel, next: -1, resolve: () => undefined, reject })
    this.#drain()
    if (failure !== null) throw failure
  }

  #checkRunning(): void {
    if (this.#isStopped) throw new Error('[cpu] this device was shut down: its tensors and plans are gone')
  }

  #checkSynchronous(): void {
    if (!this.#settings.mainThread)
      throw new Error(
        '[cpu] synchronous reads need the calling thread: use await, or setDefaultDevice("cpu") without mainThread: false',
      )
  }

  /** Runs the jobs that wait, in order, in slices. */
  async #pump(): Promise<void> {
    this.#isPumping = true
    while (this.#jobs.length > 0) {
      const [job] = this.#jobs
      if (this.#settings.mainThread) {
        if (!this.#advance(job, performance.now() + SLICE)) await turn()
      } else await this.#delegate(job)
    }
    this.#isPumping = false
  }

  #drain(): void {
    while (this.#jobs.length > 0) this.#advance(this.#jobs[0], Number.POSITIVE_INFINITY)
  }

  /** Works on a job until the deadline; true when it is done (or failed). */
  #advance(job: Job, deadline: number): boolean {
    try {
      if (job.next < 0) this.#begin(job)
      const { program } = job
      if (job.onKernel) this.#runTimed(job, job.onKernel)
      else job.next = this.#caller.lead(program.schedule, job.next, program.count, deadline)
      if (job.next < program.count) return false
      this.#end(job)
      job.resolve()
    } catch (error) {
      this.#end(job)
      job.reject(error)
    }
    return true
  }

  async #delegate(job: Job): Promise<void> {
    try {
      this.#begin(job)
      await this.#pool.lead(job.program.schedule, job.program.count)
      this.#end(job)
      job.resolve()
    } catch (error) {
      this.#end(job)
      job.reject(error)
    }
  }

  #runTimed(job: Job, onKernel: KernelTimer): void {
    const { program } = job
    for (const k of program.stages.flat()) {
      const start = performance.now()
      this.#caller.lead(program.address, program.kernelEntries[k], program.kernelEntries[k + 1])
      onKernel(k, performance.now() - start)
    }
    job.next = program.count
  }

  #begin(job: Job): void {
    const { program, bindings, scalars } = job
    if (program.arenaBytes > this.#arena.bytes) this.#growArena(program.arenaBytes)
    if (program.localBytes > this.#local.stride) this.#growLocal(program.localBytes)
    const addresses = bindings.map((b) => (b.buffer as CpuBuffer).address + b.offset)
    program.bind(addresses, this.#arena.address, scalars)
    const words = this.#heap.i32
    words[CONTROL.pages] = this.#heap.reserved / 65536
    if (program.sharedCost > 0 && this.#settings.threads > 1) {
      this.#sharedWork += program.sharedCost
      if (this.#settings.mainThread && this.#sharedWork >= WORTH_WORKERS) this.#pool.start()
      Atomics.store(words, CONTROL.active, 1)
    }
    job.next = 0
  }

  /** Frees a program that was disposed of once nothing runs it. */
  #freeIfUnused(program: Program): void {
    if (this.#isStopped || this.#programs.has(program) || this.#jobs.some((j) => j.program === program))
      return
    program.free()
  }

  #end(job: Job): void {
    this.#jobs.splice(this.#jobs.indexOf(job), 1)
    this.#freeIfUnused(job.program)
    if (this.#jobs.length === 0) Atomics.store(this.#heap.i32, CONTROL.active, 0)
  }

  // Nothing of these two outlives a plan, so what is there is freed before more is taken.

  #growArena(bytes: number): void {
    if (this.#arena.bytes > 0) this.#heap.free(this.#arena.address)
    this.#arena = { address: 0, bytes: 0 }
    this.#arena = { address: this.#heap.allocate(bytes), bytes }
  }

  #growLocal(bytes: number): void {
    const stride = Math.ceil(bytes / 256) * 256
    if (this.#local.stride > 0) this.#heap.free(this.#local.address)
    this.#local = { address: 0, stride: 0 }
    this.#local = { address: this.#heap.allocate(stride * (this.#settings.threads + 1)), stride }
    this.#heap.u32[CONTROL.localBase] = this.#local.address / 4
    this.#heap.i32[CONTROL.localStride] = stride
  }
}
