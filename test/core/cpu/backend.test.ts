import { afterAll, describe, expect, it } from 'vitest'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { callCases, compareBackends, loopCases, supportsCase } from '../../helpers/kernels.ts'

const reference = createReferenceBackend({})
const backends = {
  'relaxed SIMD': createCpuBackend({ threads: 1 }),
  'plain SIMD': createCpuBackend({ threads: 1, relaxedSimd: false }),
}

afterAll(async () => {
  await Promise.all(Object.values(backends).map((b) => b.shutdown()))
})

for (const [name, cpu] of Object.entries(backends))
  describe(`cpu with ${name} agrees with the reference`, () => {
    it.each(loopCases().map((c) => [c.name, c] as const))('%s', async (_, c) => {
      await compareBackends(c, reference, cpu)
    })
    it.each(
      callCases()
        .filter((c) => supportsCase(cpu, c))
        .map((c) => [c.name, c] as const),
    )('%s', async (_, c) => {
      await compareBackends(c, reference, cpu)
    })
  })

describe('cpu', () => {
  it('says what it is', () => {
    expect(backends['plain SIMD'].description).toBe('cpu, 1 thread, SIMD')
  })
})
