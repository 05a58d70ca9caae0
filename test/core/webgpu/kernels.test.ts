import { afterAll, beforeAll, describe, test } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { createWebGpuBackend, type WebGpuBackend } from '../../../core/backends/webgpu/index.ts'
import { callCases, compareBackends, loopCases } from '../../helpers/kernels.ts'
import { webgpuAvailable } from '../../helpers/webgpu.ts'

describe.skipIf(!(await webgpuAvailable()))('webgpu kernels agree with the reference', () => {
  const reference = createReferenceBackend()
  let backend: WebGpuBackend
  beforeAll(async () => {
    backend = await createWebGpuBackend({ adapter: 'any', validate: true })
  })
  afterAll(() => backend.shutdown())

  for (const c of [...loopCases(), ...callCases()])
    test(c.name, () => compareBackends(c, reference, backend, Math.max(c.tolerance, 2e-5)))
})
