import { beforeAll, describe, expect, it } from 'vitest'
import * as T from '../../core/index.ts'
import { webgpuAvailable } from '../helpers/webgpu.ts'
import { OP_CASES } from './op-cases.ts'
import { outcome } from './op-outcome.ts'

/**
 * Both sides compute in float32, the reference with float64 sums: they differ by rounding of a few operations on values of
 * order 1 to 10, a few units in the last place of 2^-23 each.
 */
const TOLERANCE = 2e-5

const expected = new Map<string, number[][]>()
beforeAll(async () => {
  await T.setDefaultDevice('reference')
  for (const c of OP_CASES) expected.set(c.name, await outcome(c))
})

function compare(got: number[][], want: number[][]): void {
  for (const [t, values] of want.entries())
    for (const [i, v] of values.entries()) {
      const error = Math.abs(got[t][i] - v) / (1 + Math.abs(v))
      expect(
        error,
        `${t ? `gradient ${t - 1}` : 'result'}, element ${i}: ${got[t][i]}, reference ${v}`,
      ).toBeLessThan(TOLERANCE)
    }
}

describe.each([{ device: 'cpu', threads: 1 }, { device: 'cpu', threads: 2 }, { device: 'webgpu' }] as const)(
  '$device $threads agrees with the reference',
  (where) => {
    beforeAll(async () => {
      if (where.device === 'webgpu' && !(await webgpuAvailable())) return
      await T.shutdown()
      await T.setDefaultDevice(
        where.device,
        'threads' in where ? { threads: where.threads } : { adapter: 'any' },
      )
    })
    for (const c of OP_CASES)
      it(c.name, async (context) => {
        if (where.device === 'webgpu' && !(await webgpuAvailable())) return context.skip()
        compare(await outcome(c), expected.get(c.name)!)
      })
  },
)
