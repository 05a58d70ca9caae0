/** Compiled code of a device, keyed by structure; compilation is concurrent and starts when a plan is prepared. */
import type { Dispatch } from './dispatch.ts'
import { shaderSource } from './shader.ts'

export interface Compiled {
  readonly layout: GPUBindGroupLayout
  /** Set once compiled. */
  pipeline?: GPUComputePipeline
  /** Rejects, naming the kernel, when it does not compile. */
  readonly ready: Promise<void>
}

export class Pipelines {
  private readonly device: GPUDevice
  private readonly compiled = new Map<string, Compiled>()
  private readonly layouts = new Map<string, { bind: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>()
  private readonly onSource: ((label: string, wgsl: string) => void) | undefined

  constructor(device: GPUDevice, onSource?: (label: string, wgsl: string) => void) {
    this.device = device
    this.onSource = onSource
  }

  /** `shareWrites`: see `shaderSource`. */
  get(dispatch: Dispatch, shareWrites: boolean): Compiled {
    const key = shareWrites ? `${dispatch.key}|shared` : dispatch.key
    let entry = this.compiled.get(key)
    if (!entry) {
      entry = this.compile(dispatch, shareWrites)
      this.compiled.set(key, entry)
      // whoever runs the plan awaits `ready`; a plan that never runs must not end the process
      entry.ready.catch(() => this.compiled.delete(key))
    }
    return entry
  }

  private layout(dispatch: Dispatch, shareWrites: boolean) {
    const access = dispatch.buffers
      .map((b) => (shareWrites || b.access === 'read_write' ? 'w' : 'r'))
      .join('')
    let layout = this.layouts.get(access)
    if (!layout) {
      const visibility = 4 // GPUShaderStage.COMPUTE; the constant is not global in Node
      const bind = this.device.createBindGroupLayout({
        label: `p${access}`,
        entries: [
          { binding: 0, visibility, buffer: { type: 'uniform' } },
          ...[...access].map((a, i) => ({
            binding: i + 1,
            visibility,
            buffer: { type: a === 'w' ? ('storage' as const) : ('read-only-storage' as const) },
          })),
        ],
      })
      const pipeline = this.device.createPipelineLayout({ bindGroupLayouts: [bind] })
      layout = { bind, pipeline }
      this.layouts.set(access, layout)
    }
    return layout
  }

  private compile(dispatch: Dispatch, shareWrites: boolean): Compiled {
    const { label } = dispatch
    const code = shaderSource(dispatch, shareWrites)
    this.onSource?.(label, code)
    const layout = this.layout(dispatch, shareWrites)
    // a module with errors is reported again by the pipeline: keep the first report from counting as the device's
    this.device.pushErrorScope('validation')
    const module = this.device.createShaderModule({ label, code })
    this.device.popErrorScope().catch(() => undefined)
    const entry: Compiled = {
      layout: layout.bind,
      ready: this.device
        .createComputePipelineAsync({
          label,
          layout: layout.pipeline,
          compute: { module, entryPoint: 'main' },
        })
        .then(
          (pipeline) => {
            entry.pipeline = pipeline
          },
          (cause: Error) => {
            throw new Error(`[webgpu] kernel ${label} does not compile: ${cause.message}`, { cause })
          },
        ),
    }
    return entry
  }
}
