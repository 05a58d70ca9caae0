import { beforeAll, describe, expect, test } from 'vitest'
import { noGrad, setDefaultDevice, tensor } from '../../core/index.ts'
import { Linear, Parameter } from '../../nn/index.ts'
import { Adam, AdamW, clipGradNorm_, clipGradValue_, SGD } from '../../nn/optim/index.ts'
import { distance, goldenFolders, parameter, type Ref, readGolden } from './golden.ts'

interface OptimizerCase {
  name: string
  optimizer: string
  arguments: Record<string, unknown>
  parameters: string[]
  expected: Record<string, Ref>
}
interface Optimizers {
  init: Record<string, Ref>
  grads: Record<string, Ref>
  cases: OptimizerCase[]
}
interface Clipping {
  grads: Record<string, Ref>
  cases: {
    name: string
    kind: string
    max_norm: number
    norm_type: number | { $float: string }
    clip_value: number
    total_norm: number
    expected: Record<string, Ref>
  }[]
}

const camel = (options: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(options).map(([k, v]) => [k.replace(/_(\w)/g, (_, c) => c.toUpperCase()), v]),
  )
const classes = { Adam, AdamW, SGD } as unknown as Record<string, typeof AdamW>
const STEPS = 10

beforeAll(async () => {
  await setDefaultDevice('reference')
})

for (const folder of goldenFolders) {
  const optimizers = await readGolden<Optimizers>(folder, 'optimizers')
  const built = optimizers.json.cases.filter((c) => classes[c.optimizer])

  describe(`trajectories of ${folder.pathname.includes('shared') ? 'the shared goldens' : 'the goldens'}`, () => {
    test.each(built.map((c) => [c.name, c] as const))('%s', async (_, c) => {
      const { init, grads } = optimizers.json
      const params = await Promise.all(
        c.parameters.map(async (k) => parameter(await optimizers.values(init[k]), init[k].shape)),
      )
      const gradients = await Promise.all(c.parameters.map((k) => optimizers.values(grads[k])))
      const expected = await Promise.all(c.parameters.map((k) => optimizers.values(c.expected[k])))
      const optimizer = new classes[c.optimizer](params, camel(c.arguments))
      for (let step = 0; step < STEPS; step++) {
        optimizer.zeroGrad()
        for (const [i, p] of params.entries())
          p.grad = tensor(gradients[i].slice(step * p.numel, (step + 1) * p.numel), p.shape)
        await optimizer.step()
        for (const [i, p] of params.entries()) {
          const want = expected[i].subarray(step * p.numel, (step + 1) * p.numel)
          expect(distance(await p.data(), want), `${c.parameters[i]} after step ${step}`).toBeLessThan(1e-5)
        }
      }
    })
  })

  const clipping = await readGolden<Clipping>(folder, 'clipping')
  describe('gradient clipping', () => {
    test.each(clipping.json.cases.map((c) => [c.name, c] as const))('%s', async (_, c) => {
      const { grads } = clipping.json
      const params = await Promise.all(
        Object.values(grads).map(async (ref) => {
          const p = new Parameter(ref.shape)
          p.grad = tensor(await clipping.values(ref), ref.shape)
          return p
        }),
      )
      if (c.kind === 'clip_grad_value') clipGradValue_(params, c.clip_value)
      else {
        const normType = typeof c.norm_type === 'number' ? c.norm_type : Number.POSITIVE_INFINITY
        const norm = clipGradNorm_(params, c.max_norm, { normType })
        expect(distance([await norm.item()], [c.total_norm])).toBeLessThan(1e-5)
      }
      for (const [i, name] of Object.keys(grads).entries())
        expect(distance(await params[i].grad!.data(), await clipping.values(c.expected[name]))).toBeLessThan(
          1e-5,
        )
    })
  })
}

const toyLoss = (layer: Linear) =>
  layer(tensor([[1, -2, 0.5]]))
    .square()
    .sum()

describe('optimizers', () => {
  test('groups have options of their own, and frozen parameters stay', async () => {
    const layer = new Linear(3, 2)
    const other = new Parameter(tensor([1, 2]))
    const optimizer = new SGD([{ params: [layer.weight] }, { params: [layer.bias!, other], lr: 0 }], {
      lr: 0.1,
    })
    const before = [await layer.weight.data(), await layer.bias!.data()]
    toyLoss(layer).backward()
    await optimizer.step()
    expect(distance(await layer.weight.data(), before[0])).toBeGreaterThan(1e-3)
    expect(await layer.bias!.data()).toEqual(before[1])
    expect(await other.tolist()).toEqual([1, 2])
  })

  test('a resumed run equals the uninterrupted one bit by bit', async () => {
    const run = async (layer: Linear, optimizer: AdamW, steps: number) => {
      for (let i = 0; i < steps; i++) {
        optimizer.zeroGrad()
        toyLoss(layer).backward()
        await optimizer.step()
      }
      return layer.weight.data()
    }
    const start = tensor([0.1, -0.2, 0.3, 0.4, 0.5, -0.6], [2, 3])
    const make = async () => {
      const layer = new Linear(3, 2, { bias: false })
      noGrad(() => layer.weight.copy_(start))
      return layer
    }
    const whole = await make()
    const expected = await run(whole, new AdamW(whole.parameters(), { lr: 0.05 }), 6)

    const first = await make()
    const optimizer = new AdamW(first.parameters(), { lr: 0.05 })
    await run(first, optimizer, 3)
    const saved = optimizer.stateDict()
    const slots = saved.state[0]
    const copy = { ...saved, state: { 0: { ...slots } } }
    for (const name of ['exp_avg', 'exp_avg_sq'])
      copy.state[0][name] = tensor(await (slots[name] as Parameter).data(), [2, 3])
    const second = new Linear(3, 2, { bias: false })
    second.loadStateDict({ weight: tensor(await first.weight.data(), [2, 3]) })
    const resumed = new AdamW(second.parameters(), { lr: 1 })
    resumed.loadStateDict(copy)
    expect(await run(second, resumed, 3)).toEqual(expected)
  })

  test('a pre-hook sees the gradients before the update and can be removed', async () => {
    const p = new Parameter(tensor([1]))
    const optimizer = new SGD([p], { lr: 1 })
    const hook = optimizer.registerStepPreHook(() => {
      noGrad(() => p.grad!.mul_(10))
    })
    p.mul(2).sum().backward()
    await optimizer.step()
    expect(await p.item()).toBe(-19)
    hook.remove()
    optimizer.zeroGrad()
    p.mul(2).sum().backward()
    await optimizer.step()
    expect(await p.item()).toBe(-21)
  })

  test('bad arguments are refused', () => {
    const p = new Parameter([2])
    expect(() => new AdamW([])).toThrow('no parameters')
    expect(() => new AdamW([p, p])).toThrow('twice')
    expect(() => new AdamW([p], { lr: -1 })).toThrow('lr -1')
    expect(() => new SGD([p], { nesterov: true })).toThrow('momentum')
    expect(() => clipGradNorm_([p], 1)).toThrow('backward()')
  })
})
