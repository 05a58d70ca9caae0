import { afterAll, beforeAll, describe } from 'vitest'
import { type DeviceName, setDefaultDevice, shutdown } from '../../core/index.ts'
import { webgpuAvailable } from './webgpu.ts'

const devices: DeviceName[] = ['cpu', 'reference', ...((await webgpuAvailable()) ? ['webgpu' as const] : [])]

/** The same tests on every device that is here, each the default one while they run. */
export function describeOnDevices(name: string, tests: () => void): void {
  describe.each(devices)(`${name}, on %s`, (device) => {
    beforeAll(async () => {
      await shutdown()
      await setDefaultDevice(device, device === 'webgpu' ? { adapter: 'any' } : {})
    })
    tests()
  })
  afterAll(shutdown)
}
