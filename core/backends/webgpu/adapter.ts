/** Finding WebGPU: `navigator.gpu` in browsers, Dawn (npm package `webgpu`, optional) in Node. */

export type AdapterChoice = 'hardware' | 'software' | 'any'

/**
 * Dawn crashes the process when the object that made a device is collected before the device is gone, so the devices
 * that live hold it here; without any, nothing does, and the process may end.
 */
let dawn: GPU | undefined
let users = 0
/** Not written into the import, so that bundlers leave Dawn out of pages. */
const DAWN_PACKAGE: string = 'webgpu'

const hasNavigatorGpu = () => typeof navigator !== 'undefined' && 'gpu' in navigator && !!navigator.gpu

/** The entry point of WebGPU, held until `releaseGpu`. Throws one line that says how to get it. */
export async function acquireGpu(): Promise<GPU> {
  if (hasNavigatorGpu()) {
    users++
    return navigator.gpu
  }
  if (typeof process === 'undefined' || !process.versions?.node)
    throw new Error(
      '[webgpu] this browser has no WebGPU: use a current Chrome, Edge, Firefox or Safari over https or localhost, or the device cpu',
    )
  let create: (options: string[]) => GPU
  try {
    ;({ create } = (await import(/* webpackIgnore: true */ /* @vite-ignore */ DAWN_PACKAGE)) as {
      create(options: string[]): GPU
    })
  } catch (cause) {
    throw new Error(
      '[webgpu] the optional package "webgpu" (Dawn) is not usable here: npm install webgpu, or use the device cpu',
      { cause },
    )
  }
  dawn ??= create([])
  users++
  return dawn
}

export function releaseGpu(): void {
  if (--users === 0) dawn = undefined
}

/** Whether the adapter computes on the processor (llvmpipe, SwiftShader, WARP), where our cpu backend is faster. */
export function isSoftwareAdapter(adapter: GPUAdapter): boolean {
  const { info } = adapter
  const names = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`
  return info.isFallbackAdapter || /llvmpipe|lavapipe|swiftshader|basic render|\bwarp\b|softpipe/i.test(names)
}

export const adapterName = (adapter: GPUAdapter): string => {
  const { description, vendor, architecture, device } = adapter.info
  return description || [vendor, architecture || device].filter(Boolean).join(' ') || 'unnamed adapter'
}

/** The adapter of the wanted kind, or null. `gpu` must be held (`acquireGpu`). */
export async function findAdapter(gpu: GPU, choice: AdapterChoice): Promise<GPUAdapter | null> {
  const requests: GPURequestAdapterOptions[] =
    choice === 'software'
      ? [{ forceFallbackAdapter: true }, {}]
      : [
          { powerPreference: 'high-performance' },
          ...(choice === 'any' ? [{ forceFallbackAdapter: true }] : []),
        ]
  for (const request of requests) {
    const adapter = await gpu.requestAdapter(request)
    if (!adapter) continue
    if (choice === 'any' || isSoftwareAdapter(adapter) === (choice === 'software')) return adapter
  }
  return null
}

export interface AdapterReport {
  readonly name: string
  readonly software: boolean
}

/** What `auto` asks: the adapter of the wanted kind, or null with no WebGPU here. Never throws. */
export async function probeAdapter(choice: AdapterChoice = 'hardware'): Promise<AdapterReport | null> {
  let gpu: GPU
  try {
    gpu = await acquireGpu()
  } catch {
    return null
  }
  try {
    const adapter = await findAdapter(gpu, choice)
    return adapter && { name: adapterName(adapter), software: isSoftwareAdapter(adapter) }
  } catch {
    return null
  } finally {
    releaseGpu()
  }
}
