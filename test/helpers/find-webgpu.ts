/** Runs once before all tests: looks for a WebGPU adapter, says in one line what that means, and tells the tests. */
import type { TestProject } from 'vitest/node'
import { type AdapterChoice, probeAdapter } from '../../core/backends/webgpu/adapter.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The adapter's name; empty where there is none. */
    webgpuAdapter: string
  }
}

export default async function setup(project: TestProject): Promise<void> {
  const adapter = await probeAdapter(project.config.env.TUNESMITH_ADAPTER as AdapterChoice)
  if (!adapter && process.env.TUNESMITH_REQUIRE_WEBGPU)
    throw new Error(
      'TUNESMITH_REQUIRE_WEBGPU is set, and no WebGPU adapter is there: install a Vulkan driver',
    )
  console.log(
    adapter
      ? `WebGPU tests run on ${adapter.name}`
      : 'WebGPU tests do not run: no adapter here (CONTRIBUTING.md says how to get a software one)',
  )
  project.provide('webgpuAdapter', adapter?.name ?? '')
}
