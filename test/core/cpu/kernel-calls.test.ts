/** Every hand-written kernel of the cpu backend gives the same bits, however its units are split and ordered. */
import { expect, test } from 'vitest'
import { callCases, runCase } from '../../helpers/kernels.ts'
import { singleThreadBackend } from './kernel-runner.ts'

test.each(callCases().map((c) => [c.name, c] as const))('%s', async (_name, c) => {
  const whole = await runCase(singleThreadBackend(), c)
  // unit by unit, the last one first
  expect(await runCase(singleThreadBackend({ grain: 1 }), c)).toEqual(whole)
  expect(await runCase(singleThreadBackend({ grain: 3 }), c)).toEqual(whole)
})
