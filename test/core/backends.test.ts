import { beforeAll, describe, expect, it } from 'vitest'
import * as T from '../../core/index.ts'
import { webgpuAvailable } from '../helpers/webgpu.ts'
import { OP_CASES, type OpCase } from './op-cases.ts'

/**
 * Both sides compute in float32, the reference with float64 sums: they differ by rounding of a few operations on values of
 * order 1 to 10, a few units in the last place of 2^-23 each.
 */
const TOLERANCE = 2e-5

function inputsOf(c: OpCase): T.Tensor[] {
  return c.shapes.map((shape, s) => {
    const n = shape.reduce((a, b) => a * b, 1)
    const values = Float32Array.from({ length: n }, (_, i) => {
      const u = (Math.sin((i + 1) * 12.9898 + (s + 1) * 78.233) * 43758.5453) % 1
      return c.positive ? 0.1 + 1.8 * Math.abs(u) : u * 1.9
    })
    return T.tensor(values, shape).requiresGrad_()
  })
}

/** Result and gradients of one case on the default device. */
async function outcome(c: OpCase): Promise<number[][]> {
  const inputs = inputsOf(c)
  const y = c.fn(...inputs)
  const weights = T.tensor(
    Float32Array.from({ length: y.numel }, (_, i) => 1 + ((i * 7) % 5) / 3),
    y.shape,
  )
  const grads = T.grad(y.mul(weights).sum(), inputs)
  await T.evaluate(y, ...grads)
  return Promise.all([y, ...grads].map(async (t) => Array.from(await t.data())))
}

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
