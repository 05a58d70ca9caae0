/** Runs shared kernel cases on WebGPU against the reference. */
import { afterAll, beforeAll, describe, it } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { createWebGpuBackend, type WebGpuBackend } from '../../../core/backends/webgpu/index.ts'
import { compareBackends, type KernelCase } from '../../helpers/kernels.ts'
import { webgpuAvailable } from '../../helpers/webgpu.ts'

/** Milliseconds: a software adapter on a busy machine compiles attention for a minute. */
const COMPILE_LIMIT = 300_000

/** In another order of additions and multiplications than the reference's. */
const toleranceOf = (c: KernelCase) => Math.max(c.tolerance, c.name === 'prod f32 of many' ? 2e-4 : 2e-5)

/** Declares a test for each case; skipped where there is no adapter. */
export async function describeCases(
  name: string,
  cases: readonly KernelCase[],
  options: Parameters<typeof createWebGpuBackend>[0] = {},
): Promise<void> {
  describe.skipIf(!(await webgpuAvailable()))(name, () => {
    const reference = createReferenceBackend()
    let backend: WebGpuBackend
    beforeAll(async () => {
      backend = await createWebGpuBackend({ adapter: 'any', validate: true, ...options })
    })
    afterAll(() => backend?.shutdown())

    it.each(cases.map((c) => [c.name, c] as const))(
      '%s',
      (_, c) => compareBackends(c, reference, backend, toleranceOf(c)),
      COMPILE_LIMIT,
    )
  })
}
