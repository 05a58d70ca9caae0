import { inject } from 'vitest'

/**
 * Whether tests can use WebGPU here: `describe.skipIf(!(await webgpuAvailable()))`. Asked once for the whole run
 * (find-webgpu.ts), which also prints the line that says so.
 */
export async function webgpuAvailable(): Promise<boolean> {
  return inject('webgpuAdapter') !== ''
}
