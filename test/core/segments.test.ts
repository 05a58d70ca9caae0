import { expect, test } from 'vitest'
import { evaluate, noGrad, type Tensor, tensor } from '../../core/index.ts'
import { planCacheStats } from '../../core/plan/cache.ts'
import { Embedding, Parameter } from '../../nn/index.ts'
import { AdamW, clipGradNorm_ } from '../../nn/optim/index.ts'
import { describeOnDevices } from '../helpers/devices.ts'

/** So many that their update is a plan of its own. */
const PARAMETERS = 17
const D = 64

const wave = (length: number, phase: number, scale = 1): Float32Array =>
  Float32Array.from({ length }, (_, i) => scale * Math.sin(1 + phase + 0.37 * i))

/** A table of which batches touch few rows, and many small parameters. */
function build() {
  const table = new Embedding(1024, D)
  noGrad(() => table.weight.copy_(tensor(wave(1024 * D, 1, 0.1), [1024, D])))
  const layers = Array.from({ length: PARAMETERS }, (_, i) => new Parameter(tensor(wave(D, i, 0.5))))
  const parameters = [table.weight, ...layers]
  const loss = (ids: readonly number[]): Tensor => {
    let x = table(tensor(Int32Array.from(ids)))
    for (const p of layers) x = x.mul(p).add(p).tanh()
    return x.mean()
  }
  return { parameters, layers, loss, optimizer: new AdamW(parameters, { lr: 1e-2 }) }
}

/** `pause` may evaluate what is pending at that point. Steps of different lengths; the last has two batches, the first of them clipped before the second comes. */
async function train(pause: () => Promise<void>): Promise<{ seen: number[]; weights: Float32Array[] }> {
  const { parameters, layers, loss, optimizer } = build()
  const seen: number[] = []
  for (const ids of [
    [1, 2, 3],
    [2, 9],
    [5, 5, 1, 1023],
  ]) {
    const l = loss(ids)
    l.backward()
    await pause()
    const before = layers[0].grad!.sum()
    before.retain()
    const norm = clipGradNorm_(parameters, 0.02)
    await pause()
    if (ids.length === 4) loss([7, 1]).backward()
    await optimizer.step()
    seen.push(await l.item(), await before.item(), await norm.item())
    seen.push(...((await layers[0].grad!.data()) as Float32Array))
    optimizer.zeroGrad()
  }
  return { seen, weights: (await Promise.all(parameters.map((p) => p.data()))) as Float32Array[] }
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce(
    (most, x, i) => Math.max(most, Math.abs(x - b[i])),
    a.length === b.length ? 0 : Number.NaN,
  )

describeOnDevices('the update of many parameters', () => {
  test('is a plan that a batch of another length finds again', async () => {
    const { loss, optimizer, parameters } = build()
    const misses: number[] = []
    for (const ids of [
      [1, 2],
      [3, 4, 5],
      [1, 6, 7, 8],
    ]) {
      const before = planCacheStats()
      loss(ids).backward()
      clipGradNorm_(parameters, 1)
      await optimizer.step()
      optimizer.zeroGrad()
      misses.push(planCacheStats().misses - before.misses)
    }
    // forward and backward, and the rows of the table
    expect(misses).toEqual([3, 2, 2])
  })

  test('gives what evaluating piece by piece gives, whatever crosses from plan to plan', async () => {
    const planned = await train(async () => {})
    const pieces = await train(() => evaluate())
    expect(largest(planned.seen, pieces.seen)).toBeLessThan(1e-6)
    for (const [i, w] of planned.weights.entries()) expect(largest(w, pieces.weights[i])).toBeLessThan(1e-6)
  })

  test('stays in one plan with the rest where much would cross', async () => {
    const { loss, layers, parameters } = build()
    const copy = new Parameter(tensor(new Float32Array(2 ** 19)))
    loss([1, 2]).backward()
    const gradient = layers[0].grad!.slice(0, 0, 1)
    const large = gradient.expand([2 ** 19]).exp()
    clipGradNorm_(parameters, 1e-6)
    noGrad(() => copy.copy_(large))
    gradient.retain()
    const before = planCacheStats().misses
    await evaluate()
    expect(planCacheStats().misses - before).toBe(1)
    expect((await copy.data())[2 ** 18]).toBeCloseTo(Math.exp(await gradient.item()), 6)
  })

  test('leaves a view of a gradient what it was before the gradient was scaled', async () => {
    const { loss, layers, parameters } = build()
    const copy = new Parameter(tensor(new Float32Array(D)).reshape([D, 1]))
    loss([1, 2]).backward()
    const before = layers[0].grad!.mul(1).retain()
    const view = layers[0].grad!.reshape([D, 1])
    clipGradNorm_(parameters, 1e-6)
    noGrad(() => copy.copy_(view))
    await evaluate()
    expect(await copy.data()).toEqual(await before.data())
  })
})
