/** Maps inside products: the same bits as in kernels of their own, wherever they may be joined, and nowhere else. */
import fc from 'fast-check'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { CpuBackend, type CpuSettings } from '../../../core/backends/cpu/backend.ts'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { canTakeEpilogue, takesEpilogue } from '../../../core/backends/cpu/kernels/matmul.ts'
import { load, scalar } from '../../../core/expr.ts'
import { manualSeed, randn, setDefaultDevice, type Tensor, tensor } from '../../../core/index.ts'
import { clearPlans } from '../../../core/plan/cache.ts'
import { joinEpilogues } from '../../../core/plan/epilogue.ts'
import type { CallKernel, KernelPlan } from '../../../core/plan/kernel.ts'
import { RandomPlan } from '../../helpers/kernel-plan.ts'
import { type KernelCase, type PlanTensor, runCase } from '../../helpers/kernels.ts'

const team = createCpuBackend({ threads: 3, shareAlways: true, blas: 'off' })
const alone = createCpuBackend({ threads: 1, wideSimd: false, blas: 'off' })
afterAll(() => Promise.all([team.shutdown(), alone.shutdown()]))

const joined = (plan: KernelPlan, takes = canTakeEpilogue): KernelPlan => ({
  ...plan,
  kernels: joinEpilogues(plan.kernels, plan.buffers, takes),
})

const epilogueOf = (plan: KernelPlan) =>
  plan.kernels.find((k): k is CallKernel => k.kind === 'call' && k.epilogue !== undefined)?.epilogue

const product = fc.record({
  seed: fc.nat(),
  batch: fc.constantFrom(1, 1, 2),
  // fewer rows of one product go to kernels without epilogues
  m: fc.oneof(fc.integer({ min: 129, max: 220 }), fc.constantFrom(192, 193)),
  n: fc.oneof(fc.integer({ min: 9, max: 90 }), fc.constantFrom(256, 300)),
  k: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(384, 385, 800)),
  bias: fc.boolean(),
  keeps: fc.boolean(),
  flat: fc.boolean(),
  body: fc.constantFrom('gelu', 'dropout', 'rows', 'accumulate', 'two'),
} as const)

type Product = typeof product extends fc.Arbitrary<infer T> ? T : never

/** A product and a map over its elements, with what maps have beside it: masks, numbers of a row, scalars, two results. */
function productCase(p: Product): KernelCase {
  const b = new RandomPlan(p.seed)
  const rows = p.batch * p.m
  const inputs = [b.floats([p.batch, p.m, p.k]), b.floats([p.batch, p.k, p.n])]
  if (p.bias) inputs.push(b.floats([p.n]))
  const c = p.keeps ? b.output('float32', [p.batch, p.m, p.n]) : b.temp('float32', [p.batch, p.m, p.n])
  b.call('matmul', inputs, [c], { bias: p.bias })
  // numbers of a row or a column keep the loop from being flat
  const isFlat = p.flat && p.body !== 'rows'
  const shape = isFlat ? [rows * p.n] : [rows, p.n]
  const strides = isFlat ? [1] : [p.n, 1]
  const whole = (t: PlanTensor): PlanTensor => ({ ...t, shape, strides })
  const made = whole(c)
  const y = whole(b.output('float32', shape))
  const x = load(0, 'f32')
  switch (p.body) {
    case 'gelu':
      b.map(shape, [[y, x.mul(Math.SQRT1_2).erf().add(1).mul(x).mul(0.5)]], { loads: [made] })
      break
    case 'dropout': {
      const bits = b.temp('int32', [rows * p.n])
      b.call(
        'philox',
        [],
        [bits],
        {},
        [1, 2, 3, 4].map((n) => b.scalar(n, 'i32')),
      )
      const kept = load(1, 'i32')
        .ushr(8)
        .toF32()
        .ge(2 ** 23)
      const value = kept.select(x.mul(scalar(0, 'f32')), x.mul(0)).add(load(2, 'f32'))
      b.map(shape, [[y, value]], {
        loads: [made, whole(bits), whole(b.floats([rows * p.n]))],
        scalars: [b.scalar(2)],
      })
      break
    }
    case 'rows': {
      const ofRow = { ...b.floats([rows]), shape, strides: [1, 0] }
      const ofColumn = { ...b.weights('bfloat16', [p.n]), shape, strides: [0, 1] }
      b.map(shape, [[y, x.mul(load(1, 'f32')).exp().add(load(2, 'f32'))]], { loads: [made, ofRow, ofColumn] })
      break
    }
    case 'accumulate': {
      const sum = whole(b.inPlace('float32', shape, b.random.floats(rows * p.n)))
      b.map(shape, [[sum, load(1, 'f32').add(x)]], { loads: [made, sum] })
      break
    }
    default: {
      const positive = whole(b.output('bool', shape))
      b.map(
        shape,
        [
          [y, x.max(0)],
          [positive, x.gt(0)],
        ],
        { loads: [made] },
      )
    }
  }
  return b.build(JSON.stringify(p))
}

describe('a product with a map', () => {
  it('gives the bits of two kernels, on several threads and with either width of vectors', async () => {
    await team.startWorkers()
    const bodies = new Set<string>()
    await fc.assert(
      fc.asyncProperty(product, async (p) => {
        const c = productCase(p)
        const one = { ...c, plan: joined(c.plan) }
        expect(one.plan.kernels).toHaveLength(c.plan.kernels.length - 1)
        expect(epilogueOf(one.plan)?.keepsProduct).toBe(p.keeps)
        bodies.add(p.body)
        const apart = await runCase(alone, c)
        expect(await runCase(team, one)).toEqual(apart)
        expect(await runCase(alone, one)).toEqual(apart)
      }),
      { numRuns: 120 },
    )
    expect(bodies.size).toBe(5)
  })

  it('takes memory for the product only where somebody else wants it', () => {
    const bytes = (keeps: boolean) => {
      const c = productCase({
        seed: 1,
        batch: 1,
        m: 192,
        n: 300,
        k: 5,
        bias: false,
        keeps,
        flat: true,
        body: 'gelu',
      })
      const plan = joined(c.plan)
      const buffers = plan.buffers.map((b) => (b.kind === 'temp' ? { ...b, firstUse: -1, lastUse: -1 } : b))
      return alone.prepare({ ...plan, buffers }).arenaBytes
    }
    // packed operands alone, either way
    expect(bytes(false)).toBe(bytes(true))
    expect(bytes(false)).toBeLessThan(192 * 300 * 4)
  })
})

/** A product [200, 16] and one map, with something that keeps them apart. */
function apart(change: (b: RandomPlan, c: PlanTensor, a: PlanTensor) => void): KernelPlan {
  const b = new RandomPlan(1)
  const a = b.inPlace('float32', [200, 16], b.random.floats(3200))
  const c = b.temp('float32', [200, 16])
  b.call('matmul', [a, b.floats([16, 16])], [c], { bias: false })
  change(b, c, a)
  return b.build('apart').plan
}

const flat = (t: PlanTensor): PlanTensor => ({ ...t, shape: [3200], strides: [1] })
const twice = load(0, 'f32').mul(2)

describe('a map stays a kernel of its own', () => {
  const cases: Record<string, KernelPlan> = {
    'that writes what the product reads': apart((b, c, a) => {
      b.map([3200], [[flat(a), twice]], { loads: [flat(c)] })
    }),
    'that reads the product in another order': apart((b, c) => {
      const turned = { ...c, shape: [16, 200], strides: [1, 16] }
      b.map([16, 200], [[b.output('float32', [16, 200]), twice]], { loads: [turned] })
    }),
    'that reads a part of the product': apart((b, c) => {
      b.map([10, 16], [[b.output('float32', [10, 16]), twice]], { loads: [{ ...c, shape: [10, 16] }] })
    }),
    'where what it reads is made later, of the product': apart((b, c) => {
      const norm = b.temp('float32', [200])
      b.reduce('sum', [200, 16], 1, load(0, 'f32'), [[{ ...norm, strides: [1, 0] }, twice]], { loads: [c] })
      const loads = [c, { ...norm, shape: [200, 16], strides: [1, 0] }]
      b.map([200, 16], [[b.output('float32', [200, 16]), load(0, 'f32').mul(load(1, 'f32'))]], { loads })
    }),
  }
  it.each(Object.entries(cases))('%s', (_, plan) => {
    expect(joined(plan, () => true).kernels).toEqual(plan.kernels)
  })

  it('where the backend declines', () => {
    const plan = apart((b, c) => {
      b.map([3200], [[flat(b.output('float32', [200, 16])), twice]], { loads: [flat(c)] })
    })
    expect(joined(plan, () => false).kernels).toEqual(plan.kernels)
    expect(joined(plan).kernels).toHaveLength(1)
    // next to nothing to compute: two kernels are as fast
    expect(joined(plan, takesEpilogue).kernels).toEqual(plan.kernels)
  })

  it('where a system BLAS takes the product', () => {
    const { plan } = productCase({
      seed: 1,
      batch: 1,
      m: 192,
      n: 192,
      k: 192,
      bias: true,
      keeps: false,
      flat: true,
      body: 'gelu',
    })
    const [k, map] = plan.kernels
    const settings = { threads: 1, mainThread: true, features: { relaxedSimd: false, wideSimd: false } }
    const withBlas = (findBlas: () => unknown) =>
      new CpuBackend({ ...settings, heap: { addressBits: 32 }, shareAlways: false, findBlas } as CpuSettings)
    const by = (backend: CpuBackend) => joined(plan, (p, m) => backend.takesEpilogue(p, m)).kernels
    expect(by(withBlas(() => null))).toHaveLength(1)
    expect(by(withBlas(() => ({ name: 'a library', baseOf: () => 0 })))).toEqual([k, map])
  })
})

describe('a network', () => {
  /** Loss, gradients, and what a look without gradients gives. */
  async function results(): Promise<unknown[]> {
    clearPlans()
    manualSeed(3)
    const parameter = async (...shape: [number, number]) =>
      tensor(await randn(shape).mul(0.2).data(), shape, { requiresGrad: true })
    const [x, w1, w2] = [await parameter(160, 32), await parameter(32, 96), await parameter(96, 32)]
    const layer = (h: Tensor) => h.matmul(w1).gelu().matmul(w2).dropout(0.25).add(h)
    const loss = layer(layer(x)).square().mean()
    loss.backward()
    return Promise.all([loss, x.grad!, w1.grad!, w2.grad!, layer(x).detach()].map((t) => t.data()))
  }

  it('gives the same losses and gradients with and without', async () => {
    await setDefaultDevice('cpu', { blas: 'off' })
    const spy = vi.spyOn(CpuBackend.prototype, 'takesEpilogue')
    try {
      const inside = await results()
      const taken = spy.mock.results.filter(({ value }) => value).length
      // gelu and its gradient, of two layers, and gelu once more
      expect(taken).toBe(5)
      spy.mockReturnValue(false)
      expect(await results()).toEqual(inside)
    } finally {
      spy.mockRestore()
      clearPlans()
    }
  })
})
