/** A plan made ready for a device: lowered once, bind groups and uniforms kept with it. */
import type { Binding, Executable, KernelTimer } from '../../backend.ts'
import type { KernelPlan, PlanBuffer } from '../../plan/kernel.ts'
import { Block } from './blocks.ts'
import { type GpuDevice, USAGE } from './device.ts'
import type { Dispatch } from './dispatch.ts'
import { lowerKernel } from './lower.ts'
import type { Compiled } from './pipelines.ts'
import { type Lifetime, placeTemps } from './temps.ts'

const UNIFORM_ALIGN = 256
const BIND_GROUPS_KEPT = 4

interface Step {
  readonly dispatch: Dispatch
  readonly code: Compiled
  /** For runs in which a GPUBuffer is bound here both for reading and for writing. */
  sharedCode?: Compiled
  readonly uniformOffset: number
  readonly uniformBytes: number
  readonly x: number
  readonly y: number
  /** `binding` numbers of the external buffers that it uses. */
  readonly externals: readonly number[]
  /** The latest bind groups by what was bound. */
  readonly groups: Map<string, GPUBindGroup>
}

interface Uniform {
  readonly word: number
  readonly slot: number
  readonly type: 'f32' | 'i32'
}

export class GpuExecutable implements Executable {
  readonly arenaBytes: number
  /** Told of whole runs only: kernels of a pass cannot be told apart. */
  onKernel: KernelTimer | null = null
  private readonly device: GpuDevice
  private readonly steps: Step[]
  private readonly buffers: PlanBuffer[]
  /** Slot of each temp, by buffer number. */
  private readonly slotOf = new Map<number, number>()
  private readonly slots: readonly number[]
  private temps: Block[] = []
  private tempsVersion = 0
  private readonly words: Int32Array<ArrayBuffer>
  private readonly floats: Float32Array
  private readonly uniforms: Uniform[] = []
  private readonly uniformBlock: Block | null
  private uniformsStale = true
  /** Null once all pipelines are compiled. */
  private ready: Promise<unknown> | null
  private disposed = false

  constructor(device: GpuDevice, plan: KernelPlan) {
    this.device = device
    this.buffers = [...plan.buffers]
    const dispatches: Dispatch[] = []
    plan.kernels.forEach((kernel, step) => {
      const scratch = (bytes: number) =>
        this.buffers.push({ kind: 'temp', bytes, firstUse: step, lastUse: step }) - 1
      dispatches.push(...lowerKernel(kernel, { limits: device.limits, buffers: plan.buffers, scratch }))
    })
    const temps: (Lifetime & { buffer: number })[] = []
    this.buffers.forEach((b, buffer) => {
      if (b.kind === 'temp') temps.push({ bytes: b.bytes, firstUse: b.firstUse, lastUse: b.lastUse, buffer })
    })
    const placement = placeTemps(temps)
    temps.forEach((t, i) => {
      this.slotOf.set(t.buffer, placement.slotOf[i])
    })
    this.slots = placement.slots
    this.arenaBytes = placement.slots.reduce((sum, n) => sum + n, 0)
    let uniformBytes = 0
    this.steps = dispatches.map((dispatch) => {
      const bytes = 16 * Math.ceil((1 + Object.keys(dispatch.params).length) / 4)
      const uniformOffset = uniformBytes
      uniformBytes += Math.ceil(bytes / UNIFORM_ALIGN) * UNIFORM_ALIGN
      return this.makeStep(dispatch, uniformOffset, bytes)
    })
    this.words = new Int32Array(uniformBytes / 4)
    this.floats = new Float32Array(this.words.buffer)
    for (const step of this.steps) this.writeConstants(step)
    this.uniformBlock =
      uniformBytes > 0 ? device.createBlock(uniformBytes, USAGE.uniform | USAGE.copyDst) : null
    const ready = Promise.all(this.steps.map((s) => s.code.ready))
    this.ready = ready
    ready.then(
      () => {
        this.ready = null
      },
      () => {
        // reported by run
      },
    )
  }

  private makeStep(dispatch: Dispatch, uniformOffset: number, uniformBytes: number): Step {
    const { maxGroups } = this.device.limits
    const y = Math.ceil(dispatch.groups / maxGroups)
    if (y > maxGroups)
      throw new RangeError(`[webgpu] kernel ${dispatch.label} is too large: ${dispatch.groups} workgroups`)
    const externals = dispatch.buffers.flatMap((use) => {
      const b = this.buffers[use.buffer]
      return b.kind === 'external' ? [b.binding] : []
    })
    return {
      dispatch,
      code: this.device.pipelines.get(dispatch, false),
      uniformOffset,
      uniformBytes,
      x: Math.ceil(dispatch.groups / y),
      y,
      externals,
      groups: new Map(),
    }
  }

  private writeConstants(step: Step): void {
    let word = step.uniformOffset / 4
    this.words[word++] = step.dispatch.groups
    for (const p of Object.values(step.dispatch.params)) {
      if (p.kind === 'scalar') this.uniforms.push({ word, slot: p.slot, type: p.type })
      else if (p.kind === 'f32') this.floats[word] = p.value
      else this.words[word] = p.value
      word++
    }
  }

  async run(bindings: readonly Binding[], scalars: readonly number[]): Promise<void> {
    const timer = this.onKernel
    const start = timer ? performance.now() : 0
    this.device.check()
    if (this.disposed) throw new Error('[webgpu] this plan was disposed')
    if (this.steps.length === 0) return
    const shared = this.findShared(bindings)
    const waits = shared
      ? Promise.all([this.ready, ...shared.map((s) => (s.sharedCode as Compiled).ready)])
      : this.ready
    // the caller may reuse its arrays
    const bound = waits ? [...bindings] : bindings
    const values = waits ? [...scalars] : scalars
    let checked: Promise<GPUError | null> | undefined
    await this.device.enqueue(waits, () => {
      if (this.device.validate) this.device.gpu.pushErrorScope('validation')
      this.encode(bound, values, shared)
      if (this.device.validate) checked = this.device.gpu.popErrorScope()
    })
    const error = await checked
    if (error) throw new Error(`[webgpu] ${error.message}`)
    await this.device.backPressure()
    if (!timer) return
    await this.device.gpu.queue.onSubmittedWorkDone()
    timer(-1, performance.now() - start)
  }

  /** Steps that bind one GPUBuffer through two external buffers of which one is written; null without any. */
  private findShared(bindings: readonly Binding[]): Step[] | null {
    const seen = new Set<unknown>()
    for (const b of bindings) seen.add(b.buffer)
    if (seen.size === bindings.length) return null
    const shared = this.steps.filter((step) => {
      const access = new Map<unknown, string>()
      return step.dispatch.buffers.some((use) => {
        const b = this.buffers[use.buffer]
        if (b.kind !== 'external') return false
        const { buffer } = bindings[b.binding]
        const known = access.get(buffer)
        access.set(buffer, use.access)
        return known !== undefined && known !== use.access
      })
    })
    for (const step of shared) step.sharedCode ??= this.device.pipelines.get(step.dispatch, true)
    return shared.length > 0 ? shared : null
  }

  private encode(bindings: readonly Binding[], scalars: readonly number[], shared: Step[] | null): void {
    const { device } = this
    this.takeTemps()
    this.writeUniforms(scalars)
    const encoder = device.gpu.createCommandEncoder()
    const pass = encoder.beginComputePass()
    let current: GPUComputePipeline | undefined
    for (const step of this.steps) {
      const code = shared?.includes(step) ? (step.sharedCode as Compiled) : step.code
      const pipeline = code.pipeline as GPUComputePipeline
      if (pipeline !== current) pass.setPipeline(pipeline)
      current = pipeline
      pass.setBindGroup(0, this.bindGroup(step, code, bindings))
      pass.dispatchWorkgroups(step.x, step.y)
    }
    pass.end()
    device.submit([encoder.finish()])
  }

  private takeTemps(): void {
    const run = ++this.device.runs
    if (this.tempsVersion > 0 && this.temps.every((b) => !b.destroyed)) {
      for (const b of this.temps) b.lastRun = run
      return
    }
    const { blocks, evicted } = this.device.temps.acquire(this.slots, run)
    this.temps = blocks
    this.tempsVersion++
    for (const step of this.steps) step.groups.clear()
    // at once: enqueued work that comes later finds them destroyed and takes others
    this.device.destroyNow(evicted)
  }

  private writeUniforms(scalars: readonly number[]): void {
    for (const { word, slot, type } of this.uniforms) {
      const before = this.words[word]
      if (type === 'f32') this.floats[word] = scalars[slot]
      else this.words[word] = scalars[slot]
      if (this.words[word] !== before) this.uniformsStale = true
    }
    if (!this.uniformsStale) return
    this.device.gpu.queue.writeBuffer((this.uniformBlock as Block).gpu, 0, this.words)
    this.uniformsStale = false
  }

  private bindGroup(step: Step, code: Compiled, bindings: readonly Binding[]): GPUBindGroup {
    let key = code === step.code ? '' : 'shared'
    for (const e of step.externals) {
      const { buffer, offset } = bindings[e]
      key += `,${(buffer as Block).id}:${offset}`
    }
    const known = step.groups.get(key)
    if (known) return known
    const entries: GPUBindGroupEntry[] = [
      {
        binding: 0,
        resource: {
          buffer: (this.uniformBlock as Block).gpu,
          offset: step.uniformOffset,
          size: step.uniformBytes,
        },
      },
    ]
    step.dispatch.buffers.forEach((use, i) => {
      const b = this.buffers[use.buffer]
      const bound = b.kind === 'external' ? bindings[b.binding] : undefined
      const block = bound ? bound.buffer : this.temps[this.slotOf.get(use.buffer) as number]
      if (!(block instanceof Block))
        throw new TypeError(`[webgpu] kernel ${step.dispatch.label}: a buffer of another device is bound`)
      let offset = (bound?.offset ?? 0) + use.byteOffset
      const size = Math.max(4, Math.ceil(use.bytes / 4) * 4)
      if (!(size + offset <= block.bytes)) {
        if (use.bytes > 0)
          throw new RangeError(
            `[webgpu] kernel ${step.dispatch.label} binds bytes ${offset} to ${offset + size} of a buffer of ${block.bytes}`,
          )
        // an empty tensor at the very end
        offset = 0
      }
      entries.push({ binding: i + 1, resource: { buffer: block.gpu, offset, size } })
    })
    const group = this.device.gpu.createBindGroup({
      label: step.dispatch.label,
      layout: code.layout,
      entries,
    })
    if (step.groups.size >= BIND_GROUPS_KEPT)
      for (const oldest of step.groups.keys()) {
        step.groups.delete(oldest)
        break
      }
    step.groups.set(key, group)
    return group
  }

  dispose(): void {
    if (this.disposed) return
    this.disposed = true
    if (this.uniformBlock) this.device.destroyBlocks([this.uniformBlock])
    for (const step of this.steps) step.groups.clear()
  }
}
