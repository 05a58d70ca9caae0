import * as T from '../../core/index.ts'
import type { OpCase } from './op-cases.ts'

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
export async function outcome(c: OpCase): Promise<number[][]> {
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
