import fc from 'fast-check'
import { beforeAll, expect, it } from 'vitest'
import * as T from '../../core/index.ts'
import { broadcastShapes, contiguousStrides, numel } from '../../core/shape.ts'
import {
  contiguousView,
  expandView,
  permuteView,
  reshapeView,
  sliceView,
  type View,
} from '../../core/view.ts'

beforeAll(async () => {
  await T.setDefaultDevice('reference')
})

const size = fc.integer({ min: 1, max: 4 })
const shape = fc.array(size, { maxLength: 4 })

/** Two shapes that broadcast: some sizes replaced by 1, some leading ones dropped. */
const pair = shape.chain((s) =>
  fc
    .tuple(
      fc.array(fc.boolean(), { minLength: s.length, maxLength: s.length }),
      fc.array(fc.boolean(), { minLength: s.length, maxLength: s.length }),
      fc.nat(s.length),
    )
    .map(([one, other, drop]) => ({
      a: s.map((n, d) => (one[d] ? 1 : n)),
      b: s.map((n, d) => (other[d] ? 1 : n)).slice(drop),
    })),
)

const counted = (s: readonly number[], from = 0) =>
  T.tensor(
    Float32Array.from({ length: numel(s) }, (_, i) => i + from),
    s,
  )

/** Element at a multi-index of the broadcast shape, by NumPy's definition. */
function elementAt(s: readonly number[], index: readonly number[]): number {
  const strides = contiguousStrides(s)
  const lead = index.length - s.length
  return s.reduce((at, n, d) => at + (n === 1 ? 0 : index[d + lead]) * strides[d], 0)
}

const indices = (s: readonly number[]): number[][] =>
  s.reduce<number[][]>((all, n) => all.flatMap((i) => Array.from({ length: n }, (_, k) => [...i, k])), [[]])

it('broadcasts as NumPy does', async () => {
  await fc.assert(
    fc.asyncProperty(pair, async ({ a, b }) => {
      const out = counted(a).mul(100).add(counted(b))
      const expected = broadcastShapes('test', a, b)
      expect(out.shape).toEqual(expected)
      const wanted = indices(expected).map((i) => elementAt(a, i) * 100 + elementAt(b, i))
      expect(Array.from(await out.data())).toEqual(wanted)
    }),
    { numRuns: 60 },
  )
})

it('sums gradients back to the shapes of the operands', async () => {
  await fc.assert(
    fc.asyncProperty(pair, async ({ a, b }) => {
      const [x, y] = [counted(a).requiresGrad_(), counted(b, 1).requiresGrad_()]
      const [dx, dy] = T.grad(x.mul(y).sum(), [x, y])
      expect(dx.shape).toEqual(a)
      expect(dy.shape).toEqual(b)
      const dxWanted = new Array(numel(a)).fill(0)
      for (const i of indices(broadcastShapes('test', a, b))) dxWanted[elementAt(a, i)] += elementAt(b, i) + 1
      expect(Array.from(await dx.data())).toEqual(dxWanted)
    }),
    { numRuns: 40 },
  )
})

it('refuses shapes that do not broadcast, naming both', () => {
  expect(() => T.tensor([1, 2, 3]).add(T.tensor([1, 2]))).toThrow(
    '[add] shapes [3] and [2] do not broadcast: 3 != 2 (dim 0 of the result)',
  )
})

type Step =
  | { kind: 'permute'; order: number }
  | { kind: 'slice'; dim: number; start: number; step: number }
  | { kind: 'merge'; dim: number }
  | { kind: 'split'; dim: number }
  | { kind: 'expand' }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('permute' as const), order: fc.nat(23) }),
  fc.record({
    kind: fc.constant('slice' as const),
    dim: fc.nat(3),
    start: fc.nat(2),
    step: fc.integer({ min: 1, max: 2 }),
  }),
  fc.record({ kind: fc.constant('merge' as const), dim: fc.nat(3) }),
  fc.record({ kind: fc.constant('split' as const), dim: fc.nat(3) }),
  fc.record({ kind: fc.constant('expand' as const) }),
)

function orders(rank: number): number[][] {
  const all = (left: number[]): number[][] =>
    left.length ? left.flatMap((d) => all(left.filter((e) => e !== d)).map((r) => [d, ...r])) : [[]]
  return all(Array.from({ length: rank }, (_, d) => d))
}

/** One step on a tensor; steps that do not fit its shape leave it as it is. */
function applyStep(x: T.Tensor, s: Step): T.Tensor {
  if (x.ndim === 0) return x
  const d = 'dim' in s ? s.dim % x.ndim : 0
  if (s.kind === 'permute') return x.permute(orders(x.ndim)[s.order % orders(x.ndim).length])
  if (s.kind === 'slice') return x.slice(d, Math.min(s.start, x.shape[d] - 1), undefined, s.step)
  if (s.kind === 'merge') return d + 1 < x.ndim ? x.flatten(d, d + 1) : x
  if (s.kind === 'split')
    return x.shape[d] % 2 === 0 ? x.reshape(x.shape.toSpliced(d, 1, 2, x.shape[d] / 2)) : x
  return x.ndim < 4 ? x.unsqueeze(0).expand([2, ...x.shape]) : x
}

it('reads chains of views as if every step were copied', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(size, { minLength: 1, maxLength: 3 }),
      fc.array(step, { maxLength: 6 }),
      async (s, steps) => {
        let lazy = counted(s)
        let copied = counted(s)
        for (const one of steps) {
          lazy = applyStep(lazy.mul(1), one)
          copied = applyStep(copied, one)
          // through the host: nothing of the chain is left
          copied = T.tensor(await copied.data(), copied.shape)
        }
        expect(lazy.shape).toEqual(copied.shape)
        expect(Array.from(await lazy.data())).toEqual(Array.from(await copied.data()))
        expect(await lazy.sum().item()).toBe(await copied.sum().item())
      },
    ),
    { numRuns: 80 },
  )
})

const elements = (v: View): number[] =>
  indices(v.shape).map((i) => i.reduce((at, k, d) => at + k * v.strides[d], v.offset))

it('reshapes a view to the same elements, or says that it cannot', () => {
  fc.assert(
    fc.property(fc.array(size, { minLength: 1, maxLength: 3 }), fc.nat(5), fc.boolean(), (s, order, cut) => {
      let view: View = permuteView(contiguousView(s), orders(s.length)[order % orders(s.length).length])
      if (cut && view.shape[0] > 1) view = sliceView(view, 0, 1, 1, view.shape[0] - 1)
      view = expandView(view, [2, ...view.shape])
      const n = numel(view.shape)
      for (const wanted of [[n], [2, n / 2], [n / 2, 2], [...view.shape, 1]]) {
        const seen = reshapeView(view, wanted)
        if (seen) expect(elements(seen)).toEqual(elements(view))
      }
      expect(reshapeView(contiguousView(s), [numel(s)])).not.toBe(null)
    }),
  )
})
