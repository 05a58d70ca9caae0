import { expect, test } from 'vitest'
import { acquireGpu, findAdapter, releaseGpu } from '../../core/backends/webgpu/adapter.ts'
import { webgpuAvailable } from '../helpers/webgpu.ts'

test.skipIf(!(await webgpuAvailable()))(
  'the adapter that was announced can be had, and makes a device',
  async () => {
    const gpu = await acquireGpu()
    const adapter = await findAdapter(gpu, 'any')
    const device = await adapter!.requestDevice()
    expect(device.limits.maxBufferSize).toBeGreaterThan(1 << 20)
    device.destroy()
    releaseGpu()
  },
)
