/** The shared kernel cases on WebGPU, against the reference. */
import { afterAll, beforeAll, describe, it } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { createWebGpuBackend, type WebGpuBackend } from '../../../core/backends/webgpu/index.ts'
import { callCases, compareBackends, type KernelCase, loopCases } from '../../helpers/kernels.ts'
import { webgpuAvailable } from '../../helpers/webgpu.ts'

/**
 * A software adapter compiles an attention kernel for seconds, so the suite has one of each shape of code;
 * TUNESMITH_ALL_KERNELS=1 runs them all.
 */
const chosen = (c: KernelCase): boolean => {
  if (process.env.TUNESMITH_ALL_KERNELS || !c.name.startsWith('attention ')) return true
  if (c.name.includes('"D":5,') || c.name.includes('"D":5}')) return false
  const [mask, dropout, packed] = ['"mask"', '"dropout"', '"cuSeqlens"'].map((t) => c.name.includes(t))
  return packed ? !dropout : mask === dropout
}

/** In another order of additions and multiplications than the reference's. */
const toleranceOf = (c: KernelCase) => Math.max(c.tolerance, c.name === 'prod f32 of many' ? 2e-4 : 2e-5)

describe.skipIf(!(await webgpuAvailable()))('webgpu', () => {
  const reference = createReferenceBackend()
  let backend: WebGpuBackend
  beforeAll(async () => {
    backend = await createWebGpuBackend({ adapter: 'any', validate: true })
  })
  afterAll(() => backend?.shutdown())

  it.each([...loopCases(), ...callCases()].filter(chosen).map((c) => [c.name, c] as const))('%s', (_, c) =>
    compareBackends(c, reference, backend, toleranceOf(c)),
  )
})

describe.skipIf(!(await webgpuAvailable()))('webgpu with bindings of at most 8 KiB', () => {
  const reference = createReferenceBackend()
  let backend: WebGpuBackend
  beforeAll(async () => {
    backend = await createWebGpuBackend({
      adapter: 'any',
      validate: true,
      limits: { maxStorageBufferBindingSize: 8192 },
    })
  })
  afterAll(() => backend?.shutdown())

  const large = (c: KernelCase) =>
    c.contents.some(({ data }) => data.byteLength > 8192) &&
    !/^attention|\[1,4099\]|of many$|long row/.test(c.name)
  it.each([...loopCases(), ...callCases()].filter(large).map((c) => [c.name, c] as const))('%s', (_, c) =>
    compareBackends(c, reference, backend, toleranceOf(c)),
  )
})
