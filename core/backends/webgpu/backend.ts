/** The webgpu backend: WGSL on Dawn (Node) or the browser's WebGPU. */
import type { Backend, BackendMemory, DeviceBuffer, Executable } from '../../backend.ts'
import type { TypedArray } from '../../dtype.ts'
import type { CallKernel, KernelPlan } from '../../plan/kernel.ts'
import {
  type AdapterChoice,
  acquireGpu,
  adapterName,
  findAdapter,
  isSoftwareAdapter,
  releaseGpu,
} from './adapter.ts'
import type { Block } from './blocks.ts'
import { type DeviceOptions, GpuDevice } from './device.ts'
import { GpuExecutable } from './executable.ts'
import { CALLS } from './kernels/index.ts'

export interface WebGpuOptions extends DeviceOptions {
  /** Default `hardware`: a software adapter is slower than the device cpu and is used only when asked for. */
  readonly adapter?: AdapterChoice
}

export class WebGpuBackend implements Backend {
  readonly name = 'webgpu'
  readonly description: string
  readonly synchronous = false
  /** How many buffers one kernel may bind: the planner's limit to fusion. */
  readonly maxStorageBuffers: number
  /** True on an adapter that computes on the processor. */
  readonly software: boolean
  private readonly device: GpuDevice
  private closed = false

  constructor(device: GpuDevice, description: string, software: boolean) {
    this.device = device
    this.description = description
    this.software = software
    this.maxStorageBuffers = device.limits.maxStorageBuffers
  }

  supports(call: Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>): boolean {
    const kernel = CALLS[call.name]
    return kernel !== undefined && (kernel.supports?.(call, this.device.limits) ?? true)
  }

  allocate(bytes: number): DeviceBuffer {
    return this.device.allocate(bytes)
  }

  free(buffer: DeviceBuffer): void {
    this.device.release(buffer as Block)
  }

  upload(buffer: DeviceBuffer, byteOffset: number, data: TypedArray): void {
    this.device.upload(buffer as Block, byteOffset, data)
  }

  download(buffer: DeviceBuffer, byteOffset: number, into: TypedArray): Promise<void> {
    return this.device.download(buffer as Block, byteOffset, into)
  }

  prepare(plan: KernelPlan): Executable {
    return new GpuExecutable(this.device, plan)
  }

  memory(): BackendMemory {
    return this.device.memory()
  }

  trim(): void {
    this.device.trim()
  }

  async shutdown(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.device.close()
    releaseGpu()
  }
}

const NO_ADAPTER: Record<AdapterChoice, string> = {
  hardware:
    'no GPU adapter: install the GPU\'s Vulkan, Metal or D3D12 driver, ask for a software adapter ({ adapter: "any" }), or use the device cpu',
  software:
    'no software adapter: install Mesa 23 or newer (Debian and Ubuntu: mesa-vulkan-drivers), or use the device cpu',
  any: 'no adapter: install a Vulkan driver (software: mesa-vulkan-drivers, Mesa 23 or newer), or use the device cpu',
}

/** Opens a device. Throws one line that names the fix where there is no WebGPU or no adapter of the wanted kind. */
export async function createWebGpuBackend(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const choice = options.adapter ?? 'hardware'
  const gpu = await acquireGpu()
  try {
    const adapter = await findAdapter(gpu, choice)
    if (!adapter) throw new Error(`[webgpu] ${NO_ADAPTER[choice]}`)
    const { limits } = adapter
    const device = await adapter.requestDevice({
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
        maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
        maxComputeWorkgroupsPerDimension: limits.maxComputeWorkgroupsPerDimension,
        maxUniformBufferBindingSize: limits.maxUniformBufferBindingSize,
      },
    })
    const software = isSoftwareAdapter(adapter)
    return new WebGpuBackend(new GpuDevice(device, options, software), adapterName(adapter), software)
  } catch (error) {
    releaseGpu()
    throw error
  }
}
