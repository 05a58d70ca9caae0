/** Whether a device computes what the reference does. */

import type { DeviceName, DeviceOptions } from '../../core/index.ts'
import {
  backendFor,
  grad,
  manualSeed,
  rand,
  randn,
  setDefaultDevice,
  shutdown,
  type Tensor,
} from '../../core/index.ts'
import { functional as F } from '../../nn/index.ts'
import type { Check } from './check.ts'

/** Of float32 computations in another order, `|got - expected| <= TOLERANCE * (1 + |expected|)`. */
const TOLERANCE = 1e-4

const TEXTS = 3
const TOKENS = 20
const WIDTH = 32
const HEADS = 4

/**
 * The kinds of kernels that a transformer needs, forward and backward: products, attention, norms, softmax, random numbers,
 * chains of elementwise ops.
 */
async function smallGraph(): Promise<Float32Array[]> {
  manualSeed(7)
  const x = randn([TEXTS, TOKENS, WIDTH])
  const weights = Array.from({ length: 3 }, () =>
    randn([WIDTH, WIDTH])
      .mul(WIDTH ** -0.5)
      .detach()
      .requiresGrad_(),
  )
  const heads = (t: Tensor) => t.reshape([TEXTS, TOKENS, HEADS, WIDTH / HEADS]).transpose(1, 2)
  const [q, k, v] = weights.map((w) => heads(x.matmul(w)))
  const attended = F.scaledDotProductAttention(q, k, v, { isCausal: true }).transpose(1, 2).reshape(x.shape)
  const hidden = F.layerNorm(F.gelu(attended.add(x)), WIDTH)
  const probabilities = F.softmax(hidden.mul(rand(hidden.shape)), -1)
  const loss = probabilities.add(1e-3).log().mul(hidden).mean()
  const gradients = grad(loss, weights)
  const results = [loss, probabilities, ...gradients]
  return Promise.all(results.map(async (t) => (await t.data()) as Float32Array))
}

async function resultsOn(device: DeviceName, options: DeviceOptions): Promise<Float32Array[]> {
  await setDefaultDevice(device, options)
  await backendFor(device)
  try {
    return await smallGraph()
  } finally {
    await shutdown()
  }
}

function largestError(got: readonly Float32Array[], expected: readonly Float32Array[]): number {
  let largest = 0
  for (const [i, values] of expected.entries())
    for (let j = 0; j < values.length; j++) {
      const error = Math.abs(got[i][j] - values[j]) / (1 + Math.abs(values[j]))
      if (!(error <= largest)) largest = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
    }
  return largest
}

/** Computes a small graph with its gradients on the device and on the reference. */
export async function checkParity(device: DeviceName, options: DeviceOptions = {}): Promise<Check> {
  const name = `${device} agrees with the reference`
  try {
    const expected = await resultsOn('reference', {})
    const error = largestError(await resultsOn(device, options), expected)
    if (error <= TOLERANCE)
      return { name, status: 'fine', detail: `largest relative error ${error.toExponential(1)}` }
    return {
      name,
      status: 'broken',
      detail: `largest relative error ${error.toExponential(1)}, over ${TOLERANCE}`,
      advice:
        device === 'webgpu' ? 'use --device cpu, update the graphics driver, and report it' : 'report it',
    }
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error)
    return { name, status: 'broken', detail, advice: 'TUNESMITH_DEBUG=1 shows where; report it' }
  }
}
