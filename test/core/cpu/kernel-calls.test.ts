/** Every hand-written kernel of the cpu backend against the reference, however the units are split. */
import { describe, test } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { callCases, compareBackends } from '../../helpers/kernels.ts'
import { singleThreadBackend } from './kernel-runner.ts'

describe.each([
  ['all units at once', {}],
  ['unit by unit, backwards', { grain: 1 }],
  ['without relaxed SIMD', { relaxedSimd: false, grain: 3 }],
] as const)('cpu kernels, %s', (_, options) => {
  test.each(callCases().map((c) => [c.name, c] as const))('%s', async (_name, c) => {
    await compareBackends(c, createReferenceBackend(), singleThreadBackend(options))
  })
})
