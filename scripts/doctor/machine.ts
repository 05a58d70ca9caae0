/** What the machine and the JavaScript engine offer. */
import { access, constants } from 'node:fs/promises'
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import { detectFeatures } from '../../core/backends/cpu/features.ts'
import {
  acquireGpu,
  adapterName,
  findAdapter,
  isSoftwareAdapter,
  releaseGpu,
} from '../../core/backends/webgpu/adapter.ts'
import { nodeSettings } from '../../hub/node-settings.ts'
import type { Check } from './check.ts'

const OLDEST_NODE = [22, 18]
const GIB = 2 ** 30

export function checkRuntime(): Check {
  const { node, v8 } = process.versions
  const [major, minor] = node.split('.').map(Number)
  const isOld = major < OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor < OLDEST_NODE[1])
  const detail = `Node ${node} (V8 ${v8}), ${process.platform} ${process.arch}, ${(totalmem() / GIB).toFixed(1)} GiB memory, ${(freemem() / GIB).toFixed(1)} free`
  if (!isOld) return { name: 'runtime', status: 'fine', detail }
  return {
    name: 'runtime',
    status: 'problem',
    detail,
    advice: `install Node ${OLDEST_NODE.join('.')} or newer`,
  }
}

export function checkSimd(): Check {
  try {
    const { relaxedSimd, wideSimd } = detectFeatures()
    const width = wideSimd
      ? '256-bit vectors (measured: faster here)'
      : process.env.TUNESMITH_SIMD
        ? '128-bit vectors (TUNESMITH_SIMD)'
        : '128-bit vectors'
    if (relaxedSimd)
      return {
        name: 'SIMD',
        status: 'fine',
        detail: `WebAssembly SIMD and relaxed SIMD (fused multiply-add), ${width}`,
      }
    return {
      name: 'SIMD',
      status: 'note',
      detail: 'WebAssembly SIMD, without relaxed SIMD: products take about twice as long',
      advice: 'use Node 24, or a current browser',
    }
  } catch (error) {
    return {
      name: 'SIMD',
      status: 'broken',
      detail: (error as Error).message,
      advice: 'use Node 22.18 or newer',
    }
  }
}

export function checkThreads(): Check {
  const setting = process.env.TUNESMITH_THREADS
  const cores = availableParallelism()
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  const limit = setting ? `, TUNESMITH_THREADS sets ${setting}` : ''
  return { name: 'threads', status: 'fine', detail: `${cores} on ${model}${limit}` }
}

/** Limits that decide what fits. */
const LIMITS = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupStorageSize',
  'maxStorageBuffersPerShaderStage',
] as const
const FEATURES = ['shader-f16', 'subgroups', 'timestamp-query']

export interface AdapterCheck {
  check: Check
  found: 'hardware' | 'software' | null
}

/** The adapter that `--device webgpu` takes. */
export async function checkAdapter(): Promise<AdapterCheck> {
  const name = 'WebGPU'
  let gpu: GPU
  try {
    gpu = await acquireGpu()
  } catch (error) {
    const check: Check = {
      name,
      status: 'note',
      detail: (error as Error).message,
      advice: 'the cpu works without it',
    }
    return { check, found: null }
  }
  try {
    const adapter = (await findAdapter(gpu, 'hardware')) ?? (await findAdapter(gpu, 'any'))
    if (!adapter) {
      const detail = 'no adapter'
      const advice =
        'the cpu works without one; for a GPU install its Vulkan driver (Linux), for tests a software one such as mesa-vulkan-drivers 23 or newer'
      return { check: { name, status: 'note', detail, advice }, found: null }
    }
    const limits = LIMITS.map((limit) => `${limit} ${adapter.limits[limit]}`)
    const features = FEATURES.filter((feature) => adapter.features.has(feature))
    const isSoftware = isSoftwareAdapter(adapter)
    const kind = isSoftware
      ? 'software adapter, slower than the cpu device, used only when asked for'
      : 'hardware adapter'
    const detail = `${adapterName(adapter)}: ${kind}; ${limits.join(', ')}; ${features.join(', ') || 'no optional features'}`
    return {
      check: { name, status: isSoftware ? 'note' : 'fine', detail },
      found: isSoftware ? 'software' : 'hardware',
    }
  } finally {
    releaseGpu()
  }
}

export async function checkCache(): Promise<Check> {
  const name = 'model cache'
  try {
    const { cacheDir, offline, endpoint, token } = await nodeSettings({})
    const exists = await access(cacheDir).then(
      () => true,
      () => false,
    )
    const writable = await access(cacheDir, constants.W_OK).then(
      () => true,
      () => false,
    )
    const online = offline
      ? 'offline (HF_HUB_OFFLINE)'
      : `from ${endpoint}, ${token ? 'with a' : 'without'} token`
    if (!exists)
      return { name, status: 'fine', detail: `${cacheDir} (made at the first download), ${online}` }
    if (writable) return { name, status: 'fine', detail: `${cacheDir}, ${online}` }
    return {
      name,
      status: 'problem',
      detail: `${cacheDir} cannot be written`,
      advice: 'set HF_HOME to a folder that can',
    }
  } catch (error) {
    return {
      name,
      status: 'problem',
      detail: (error as Error).message,
      advice: 'check HF_HOME and HF_HUB_CACHE',
    }
  }
}
