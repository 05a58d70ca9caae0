import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { rowGradientOf } from '../../core/gradients.ts'
import { evaluate, noGrad, setDefaultDevice, shutdown, type Tensor, tensor } from '../../core/index.ts'
import { Embedding, Parameter } from '../../nn/index.ts'
import { Adam, AdamW, clipGradNorm_ } from '../../nn/optim/index.ts'
import { describeOnDevices } from '../helpers/devices.ts'
import { distance } from './golden.ts'

const V = 1024
const D = 64

/** Numbers that differ from row to row and look random. */
const noise = (length: number, seed: number, scale = 1): Float32Array =>
  Float32Array.from({ length }, (_, i) => {
    const x = Math.sin((i + 1) * 12.9898 + seed * 78.233) * 43758.5453
    return scale * 2 * (x - Math.floor(x) - 0.5)
  })

interface Step {
  ids: number[]
  lr?: number
  /** Reads the table before the step. */
  read?: boolean
  /** A second batch of the same step. */
  more?: number[]
  clip?: boolean
  /** A batch that comes after the clipping. */
  late?: number[]
  /** Evaluates before the step. */
  evaluate?: boolean
  /** Somebody wants the whole gradient. */
  whole?: boolean
}

interface Run {
  weights: Float32Array
  moments: Float32Array[]
  norms: number[]
  seen: Float32Array[]
  lazy: boolean[]
}

/** Trains a table on look-ups; `dense` reads the whole gradient at every step, which takes the usual path. */
async function train(
  steps: readonly Step[],
  dense: boolean,
  make: (p: Parameter) => Adam | AdamW = (p) => new AdamW([p], { lr: 1e-3, weightDecay: 0.1 }),
  paddingIdx: number | null = null,
): Promise<Run> {
  const table = new Embedding(V, D, { paddingIdx })
  const p = table.weight
  noGrad(() => p.copy_(tensor(noise(V * D, 1, 0.1), [V, D])))
  const optimizer = make(p)
  const run: Run = { weights: new Float32Array(), moments: [], norms: [], seen: [], lazy: [] }
  for (const [s, step] of steps.entries()) {
    optimizer.zeroGrad()
    if (step.lr !== undefined) optimizer.paramGroups[0].lr = step.lr
    const look = (ids: readonly number[], seed: number) => {
      const wanted = tensor(noise(ids.length * D, 10 * s + seed), [ids.length, D])
      table(tensor(Int32Array.from(ids)))
        .sub(wanted)
        .pow(2)
        .mean()
        .backward()
    }
    look(step.ids, 0)
    if (step.more) look(step.more, 1)
    run.lazy.push(rowGradientOf(p) !== null)
    if (dense || step.whole) void p.grad
    if (step.read) run.seen.push((await p.data()) as Float32Array)
    if (step.clip) {
      const norm = clipGradNorm_([p], 0.01)
      if (step.late) look(step.late, 2)
      if (step.evaluate) await evaluate()
      await optimizer.step()
      run.norms.push(await norm.item())
    } else await optimizer.step()
  }
  const { state } = optimizer.stateDict()
  const moments = ['exp_avg', 'exp_avg_sq'].map((name) => (state[0][name] as Tensor).data())
  run.moments = (await Promise.all(moments)) as Float32Array[]
  run.weights = (await p.data()) as Float32Array
  return run
}

/** Equal within 1e-6, moments relative to their size. */
function expectSame(lazy: Run, dense: Run): void {
  expect(distance(lazy.weights, dense.weights)).toBeLessThan(1e-6)
  for (const [i, values] of lazy.moments.entries())
    expect(distance(values, dense.moments[i])).toBeLessThan(1e-6)
  expect(lazy.norms.length).toBe(dense.norms.length)
  for (const [i, norm] of lazy.norms.entries()) expect(norm).toBeCloseTo(dense.norms[i], 5)
  for (const [i, values] of lazy.seen.entries()) expect(distance(values, dense.seen[i])).toBeLessThan(1e-6)
}

async function compare(
  steps: readonly Step[],
  ...rest: [make?: (p: Parameter) => Adam | AdamW, paddingIdx?: number]
) {
  const lazy = await train(steps, false, ...rest)
  expectSame(lazy, await train(steps, true, ...rest))
  return lazy
}

describeOnDevices('AdamW on a table of which few rows are touched', () => {
  test('equals the update of the whole table: repeated ids, rows that come back, changing rates', async () => {
    const { lazy } = await compare([
      { ids: [1, 2, 2, 3] },
      { ids: [2, 5], lr: 2e-3 },
      { ids: [7] },
      { ids: [1, 2, 1, 2, 1], lr: 5e-4 },
      { ids: [3, 1023, 0] },
    ])
    expect(lazy).toEqual(Array(5).fill(true))
  })

  test('with clipping and several batches a step', async () => {
    await compare([
      { ids: [1, 2], more: [2, 3, 3], clip: true },
      { ids: [4, 4], more: [1], clip: true },
      { ids: [2], clip: true },
      { ids: [1, 7], clip: true, late: [7, 3] },
      { ids: [3], clip: true, evaluate: true },
      { ids: [9], clip: true, evaluate: true, late: [9] },
    ])
  })

  test('with reads of the table and of its gradient in between', async () => {
    await compare([
      { ids: [1, 2, 3] },
      { ids: [4] },
      { ids: [1], read: true },
      { ids: [2], whole: true },
      { ids: [3] },
      { ids: [1, 9], read: true },
    ])
  })
})

describe('on the cpu', () => {
  beforeAll(async () => {
    await shutdown()
    await setDefaultDevice('cpu')
  })

  test('property: any order of batches, reads, rates', async () => {
    const ids = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 12 })
    const step = fc.record<Step>(
      {
        ids,
        lr: fc.double({ min: 1e-5, max: 5e-3, noNaN: true }),
        read: fc.boolean(),
        more: ids,
        clip: fc.boolean(),
        late: ids,
        evaluate: fc.boolean(),
        whole: fc.boolean(),
      },
      { requiredKeys: ['ids'] },
    )
    const steps = fc.array(step, { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(steps, async (s) => void (await compare(s))),
      { numRuns: 25, seed: 5 },
    )
  })

  test('rows are scaled by what a factor was when they were scaled', async () => {
    const table = new Embedding(V, D)
    const factor = new Parameter(tensor([3]))
    table(tensor(Int32Array.of(5)))
      .sum()
      .backward()
    rowGradientOf(table.weight)!.scale(factor.detach().add(1))
    noGrad(() => factor.fill_(7))
    await evaluate()
    const row = (await table.weight.grad!.data()).subarray(5 * D, 6 * D)
    expect([...row]).toEqual(Array(D).fill(4))
  })

  test('after long gaps', async () => {
    const rare = (s: number) => (s % 60 === 5 ? [1, 2, s % 7] : [10 + (s % 20)])
    await compare(Array.from({ length: 150 }, (_, s) => ({ ids: rare(s), lr: 1e-4 * (1 + (s % 3)) })))
  })

  test('Adam, maximize, other betas', async () => {
    const steps = [{ ids: [1, 2] }, { ids: [2] }, { ids: [3] }, { ids: [1] }, { ids: [2, 3] }]
    await compare(steps, (p) => new Adam([p], { lr: 1e-3, betas: [0.8, 0.95], maximize: true }))
    // these take the whole gradient
    await compare(steps, (p) => new Adam([p], { lr: 1e-3, weightDecay: 0.1 }))
    await compare(steps, (p) => new AdamW([p], { lr: 1e-3, amsgrad: true }))
  })

  test('a padding row gets no gradient', async () => {
    const { weights, lazy } = await compare([{ ids: [0, 1, 0] }, { ids: [0, 2] }], undefined, 0)
    expect(lazy).toEqual([true, true])
    const decay = Math.fround(1 - 1e-3 * 0.1)
    const before = noise(D, 1, 0.1)
    for (let d = 0; d < D; d++) expect(weights[d]).toBeCloseTo(before[d] * decay * decay, 7)
  })

  test('rows that no batch touched are not visited', async () => {
    const table = new Embedding(V, D)
    const optimizer = new AdamW([table.weight], { lr: 1e-3, weightDecay: 0.1 })
    const step = async (id: number) => {
      optimizer.zeroGrad()
      table(tensor(Int32Array.of(id)))
        .sum()
        .backward()
      await optimizer.step()
    }
    const before = (await table.weight.data()) as Float32Array
    await step(1)
    await step(2)
    expect(table.weight.state.behind).not.toBeNull()
    const after = (await table.weight.data()) as Float32Array
    expect(table.weight.state.behind).toBeNull()
    expect(after[5 * D]).toBeCloseTo(before[5 * D] * (1 - 1e-4) ** 2, 6)
    expect(after[5 * D]).not.toBe(before[5 * D])
  })

  test('weights that are replaced from the host stay as they are, and the moments catch up', async () => {
    const run = async (lazy: boolean) => {
      const table = new Embedding(V, D)
      const p = table.weight
      noGrad(() => p.copy_(tensor(noise(V * D, 1, 0.1), [V, D])))
      const optimizer = new AdamW([p], { lr: 1e-3 })
      for (let s = 0; s < 6; s++) {
        if (s === 3) {
          expect(p.state.behind !== null).toBe(lazy)
          p.state.write(noise(V * D, 2, 0.1))
        }
        optimizer.zeroGrad()
        table(tensor(Int32Array.of(s % 4)))
          .pow(2)
          .sum()
          .backward()
        if (!lazy) void p.grad
        await optimizer.step()
      }
      const moment = (optimizer.stateDict().state[0].exp_avg as Tensor).data()
      return [await p.data(), await moment] as Float32Array[]
    }
    const [weights, moment] = await run(true)
    const [denseWeights, denseMoment] = await run(false)
    expect(distance(weights, denseWeights)).toBeLessThan(1e-6)
    expect(distance(moment, denseMoment)).toBeLessThan(1e-6)
  })

  test('a state dict taken in between continues to the same weights', async () => {
    const run = async (resume: boolean) => {
      const p = new Parameter(tensor(noise(V * D, 1, 0.1), [V, D]))
      const table = new Embedding(V, D)
      table.weight = p
      let optimizer = new AdamW([p], { lr: 1e-3 })
      for (let s = 0; s < 6; s++) {
        optimizer.zeroGrad()
        table(tensor(Int32Array.of(s % 3, 5)))
          .pow(2)
          .sum()
          .backward()
        await optimizer.step()
        if (resume && s === 2) {
          const saved = optimizer.stateDict()
          optimizer = new AdamW([p], { lr: 1e-3 })
          optimizer.loadStateDict(saved)
        }
      }
      return (await p.data()) as Float32Array
    }
    expect(distance(await run(true), await run(false))).toBeLessThan(1e-6)
  })
})
