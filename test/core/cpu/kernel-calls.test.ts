/** Every hand-written kernel of the cpu backend against the reference, however the units are split. */
import { describe, expect, test } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { callCases, compareBackends, runCase } from '../../helpers/kernels.ts'
import { singleThreadBackend } from './kernel-runner.ts'

const cases = callCases().map((c) => [c.name, c] as const)

describe.each([true, false])('cpu kernels, relaxed SIMD %s', (relaxedSimd) => {
  test.each(cases)('%s', async (_name, c) => {
    await compareBackends(c, createReferenceBackend(), singleThreadBackend({ relaxedSimd }))
  })
})

describe('cpu kernels give the same bits however the units are split', () => {
  test.each(cases)('%s', async (_name, c) => {
    const whole = await runCase(singleThreadBackend(), c)
    // unit by unit, the last one first
    expect(await runCase(singleThreadBackend({ grain: 1 }), c)).toEqual(whole)
  })
})
