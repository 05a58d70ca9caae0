import { expect } from 'vitest'
import { hostValue } from '../../core/graph.ts'
import { grad, Tensor } from '../../core/index.ts'

/** A float64 leaf on the reference backend in float64 mode. */
export const leaf = (values: ArrayLike<number>, shape: readonly number[]): Tensor =>
  new Tensor(hostValue(Float64Array.from(values), shape, 'float32')).requiresGrad_()

/** Deterministic values that stay clear of kinks at 0 and at each other. */
export function sample(shape: readonly number[], seed: number, positive = false): Tensor {
  const n = shape.reduce((a, b) => a * b, 1)
  const values = Array.from({ length: n }, (_, i) => {
    const u = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453
    const x = (u - Math.floor(u)) * 1.8 + 0.1
    return positive || i % 2 ? x : -x
  })
  return leaf(values, shape)
}

/** Step of the central difference: its error is about STEP^2, rounding about 1e-16 / STEP. */
const STEP = 1e-5
const TOLERANCE = 1e-7

/** A fixed weighting of the outputs, so that gradients that cancel in a plain sum still show. */
const weigh = (y: Tensor): Tensor =>
  y
    .mul(
      new Tensor(
        hostValue(
          Float64Array.from({ length: y.numel }, (_, i) => 1 + ((i * 7) % 5) / 3),
          y.shape,
          'float32',
        ),
      ),
    )
    .sum()

/** Compares gradients with central differences in float64; with `second` also gradients of gradients. */
export async function gradcheck(
  fn: (...x: Tensor[]) => Tensor,
  inputs: Tensor[],
  second = true,
): Promise<void> {
  await compare((...x) => weigh(fn(...x)), inputs)
  if (!second) return
  await compare(
    (...x) => {
      const first = grad(weigh(fn(...x)), x, { createGraph: true, allowUnused: true })
      const used = first.filter((g) => g !== null)
      return used.map((g) => weigh(g.mul(g))).reduce((a, b) => a.add(b))
    },
    inputs,
    true,
  )
}

async function compare(
  scalarOf: (...x: Tensor[]) => Tensor,
  inputs: Tensor[],
  mayBeConstant = false,
): Promise<void> {
  const loss = scalarOf(...inputs)
  if (mayBeConstant && !loss.requiresGrad) return
  const got = grad(loss, inputs, { allowUnused: true })
  for (const [i, x] of inputs.entries()) {
    const analytic = got[i] ? Array.from(await got[i].data()) : new Array(x.numel).fill(0)
    const values = Array.from(await x.data())
    for (let e = 0; e < values.length; e++) {
      const at = async (d: number) => {
        const moved = inputs.map((t, j) => (j === i ? leaf(values.with(e, values[e] + d), x.shape) : t))
        return await scalarOf(...moved).item()
      }
      const numeric = ((await at(STEP)) - (await at(-STEP))) / (2 * STEP)
      const error = Math.abs(analytic[e] - numeric) / (1 + Math.abs(numeric))
      expect(error, `input ${i}, element ${e}: ${analytic[e]}, by differences ${numeric}`).toBeLessThan(
        TOLERANCE,
      )
    }
  }
}
