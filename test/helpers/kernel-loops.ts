/** Map and reduce kernels: every operation, every way operands may lie, tails, and random expressions. */
import { acc, address, constant, load, scalar } from '../../core/expr.ts'
import type { Combine } from '../../core/plan/kernel.ts'
import { numel } from '../../core/shape.ts'
import { expandView, permuteView, sliceView } from '../../core/view.ts'
import { mathCases, operationCases, randomCases } from './kernel-operations.ts'
import {
  DTYPE_OF,
  f32Loads,
  floats,
  iota,
  type KernelCase,
  PlanBuilder,
  type PlanTensor,
  Random,
  viewed,
} from './kernel-plan.ts'

const [x, y] = f32Loads(2)

// --- layouts ---

/** z = x * 2 + y under sizes around vector widths and workgroup sizes. */
function sizeCases(): KernelCase[] {
  return [0, 1, 3, 4, 5, 31, 64, 257, 70001].map((n) => {
    const b = new PlanBuilder()
    const r = new Random(n)
    const loads = [floats(b, r, [n]), floats(b, r, [n])]
    b.map([n], [[b.output('float32', [n]), x.mul(2).add(y)]], { loads })
    return b.build(`map of ${n} elements`)
  })
}

type Layout = (b: PlanBuilder, r: Random) => { shape: number[]; operand: PlanTensor }

/** Loads of every stride pattern. */
const LAYOUTS: Record<string, Layout> = {
  'row broadcast': (b, r) => ({
    shape: [5, 33],
    operand: viewed(floats(b, r, [33]), (v) => expandView(v, [5, 33])),
  }),
  'column broadcast': (b, r) => ({
    shape: [5, 33],
    operand: viewed(floats(b, r, [5, 1]), (v) => expandView(v, [5, 33])),
  }),
  'one element broadcast': (b, r) => ({
    shape: [5, 33],
    operand: viewed(floats(b, r, [1]), (v) => expandView(v, [5, 33])),
  }),
  transposed: (b, r) => ({
    shape: [19, 7],
    operand: viewed(floats(b, r, [7, 19]), (v) => permuteView(v, [1, 0])),
  }),
  'heads permuted': (b, r) => ({
    shape: [2, 3, 5, 8],
    operand: viewed(floats(b, r, [2, 5, 3, 8]), (v) => permuteView(v, [0, 2, 1, 3])),
  }),
  'five dimensions permuted': (b, r) => ({
    shape: [3, 2, 5, 2, 4],
    operand: viewed(floats(b, r, [4, 2, 5, 2, 3]), (v) => permuteView(v, [4, 3, 2, 1, 0])),
  }),
  window: (b, r) => ({
    shape: [6, 9],
    operand: viewed(floats(b, r, [11, 17]), (v) => sliceView(sliceView(v, 0, 3, 1, 6), 1, 5, 1, 9)),
  }),
  'every third column': (b, r) => ({
    shape: [4, 11],
    operand: viewed(floats(b, r, [4, 33]), (v) => sliceView(v, 1, 1, 3, 11)),
  }),
  'reversed columns': (b, r) => ({
    shape: [4, 21],
    operand: viewed(floats(b, r, [4, 21]), (v) => sliceView(v, 1, 20, -1, 21)),
  }),
  'reversed rows': (b, r) => ({
    shape: [4, 21],
    operand: viewed(floats(b, r, [4, 21]), (v) => sliceView(v, 0, 3, -1, 4)),
  }),
  'reversed by steps of two': (b, r) => ({
    shape: [9],
    operand: viewed(floats(b, r, [18]), (v) => sliceView(v, 0, 17, -2, 9)),
  }),
  'middle broadcast': (b, r) => ({
    shape: [3, 6, 10],
    operand: viewed(floats(b, r, [3, 1, 10]), (v) => expandView(v, [3, 6, 10])),
  }),
}

function layoutCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const [name, layout] of Object.entries(LAYOUTS)) {
    const b = new PlanBuilder()
    const r = new Random(name.length)
    const { shape, operand } = layout(b, r)
    const loads = [operand, floats(b, r, shape)]
    b.map(shape, [[b.output('float32', shape), x.mul(y).add(1)]], { loads })
    const { strides } = operand
    if (!strides.includes(0)) {
      // the same pattern on the side of the store: what lies between keeps its contents
      const size = b.build('').contents[0].data.length - 128
      const target = { ...operand, buffer: b.inPlace('float32', [size], r.floats(size)).buffer }
      b.map(shape, [[target, x.sub(0.5)]], { loads: [loads[1]] })
    }
    cases.push(b.build(`layout: ${name}`))
  }
  for (const dtype of ['float16', 'bfloat16'] as const)
    for (const n of [1, 7, 64]) {
      const b = new PlanBuilder()
      const r = new Random(n)
      const weights = b.input(dtype, [n, 5], r.halves(n * 5, dtype))
      const loads = [weights, viewed(weights, (v) => sliceView(v, 1, 4, -1, 5))]
      b.map([n, 5], [[b.output('float32', [n, 5]), x.mul(3).sub(y)]], { loads })
      cases.push(b.build(`loads ${dtype} ${n}`))
    }
  return cases
}

function structureCases(): KernelCase[] {
  const cases: KernelCase[] = []
  const r = new Random(11)
  {
    const b = new PlanBuilder()
    const loads = [iota([1], 5), iota([-3], 100)]
    const scalars = [b.scalar(7, 'i32'), b.scalar(0.25)]
    const start = address(0).add(scalar(0, 'i32'))
    b.map(
      [50],
      [
        [b.output('int32', [50]), start.mul(3)],
        [b.output('float32', [50]), address(1).toF32().mul(scalar(1, 'f32'))],
      ],
      { loads, scalars },
    )
    cases.push(b.build('addresses and scalars'))
  }
  {
    // a causal mask made of two addresses
    const b = new PlanBuilder()
    const loads = [iota([1, 0]), iota([0, 1])]
    const visible = address(1).le(address(0))
    b.map(
      [9, 9],
      [
        [b.output('bool', [9, 9]), visible],
        [b.output('float32', [9, 9]), visible.select(0, -1e30)],
      ],
      { loads },
    )
    cases.push(b.build('causal mask from addresses'))
  }
  {
    const b = new PlanBuilder()
    const loads = [
      floats(b, r, [3, 37]),
      b.input('int32', [3, 37], r.ints(111, -9, 9)),
      b.input('bool', [3, 37], r.ints(111, 0, 1)),
    ]
    const flag = load(2, 'bool')
    const whole = load(1, 'i32')
    b.map(
      [3, 37],
      [
        [b.output('float32', [3, 37]), flag.select(x, whole.toF32())],
        [b.output('int32', [3, 37]), whole.mul(whole).add(flag.toI32())],
        [b.output('bool', [3, 37]), x.gt(0).xor(flag)],
      ],
      { loads },
    )
    cases.push(b.build('several stores of all dtypes'))
  }
  {
    const b = new PlanBuilder()
    const state = b.inPlace('float32', [101], r.floats(101))
    const moment = b.inPlace('float32', [101], r.floats(101))
    const loads = [state, moment, floats(b, r, [101])]
    const gradient = load(2, 'f32')
    const next = y.mul(scalar(0, 'f32')).add(gradient.mul(0.1))
    b.map(
      [101],
      [
        [moment, next],
        [state, x.sub(next.mul(scalar(1, 'f32')))],
      ],
      { loads, scalars: [b.scalar(0.9), b.scalar(0.01)] },
    )
    cases.push(b.build('in place: two states from each other'))
  }
  {
    const b = new PlanBuilder()
    const cache = b.inPlace('float32', [2, 16, 4], r.floats(128))
    const target = viewed(cache, (v) => sliceView(v, 1, 7, 1, 3))
    b.map([2, 3, 4], [[target, x]], { loads: [floats(b, r, [2, 3, 4])] })
    cases.push(b.build('store into a slice'))
  }
  {
    const b = new PlanBuilder()
    const input = floats(b, r, [6, 50])
    const first = b.temp('float32', [6, 50])
    const sums = b.temp('float32', [6])
    b.map([6, 50], [[first, x.exp()]], { loads: [input] })
    b.reduce('sum', [6, 50], 1, x, [[sums, acc('f32')]], { loads: [first] })
    const spread = viewed(sums, (v) => ({ shape: [6, 50], strides: [v.strides[0], 0], offset: 0 }))
    b.map([6, 50], [[b.output('float32', [6, 50]), x.div(y)]], { loads: [first, spread] })
    cases.push(b.build('a chain through temporaries'))
  }
  {
    const b = new PlanBuilder()
    const wide = Array.from({ length: 7 }, () => floats(b, r, [65]))
    const sum = wide.map((_, i) => load(i, 'f32')).reduce((a, e) => a.add(e))
    b.map([65], [[b.output('float32', [65]), sum]], { loads: wide })
    cases.push(b.build('seven loads'))
  }
  return cases
}

// --- reductions ---

const REDUCTIONS: readonly { name: string; shape: number[]; reducedRank: number; permute?: number[] }[] = [
  { name: 'all', shape: [1000], reducedRank: 1 },
  { name: 'one', shape: [1], reducedRank: 1 },
  { name: 'many', shape: [100003], reducedRank: 1 },
  { name: 'rows', shape: [9, 65], reducedRank: 1 },
  { name: 'short rows', shape: [300, 3], reducedRank: 1 },
  { name: 'one long row of few', shape: [2, 20000], reducedRank: 1 },
  { name: 'columns', shape: [65, 9], reducedRank: 1, permute: [1, 0] },
  { name: 'columns of many', shape: [3, 5000], reducedRank: 1, permute: [1, 0] },
  { name: 'the middle', shape: [4, 6, 17], reducedRank: 1, permute: [0, 2, 1] },
  { name: 'the outer two', shape: [10, 3, 8], reducedRank: 2, permute: [2, 0, 1] },
  { name: 'first and last', shape: [5, 7, 9], reducedRank: 2, permute: [1, 0, 2] },
  { name: 'nothing', shape: [4, 0], reducedRank: 1 },
]

function reduceCases(): KernelCase[] {
  const cases: KernelCase[] = []
  const combines: Combine[] = ['sum', 'prod', 'max', 'min']
  for (const { name, shape, reducedRank, permute } of REDUCTIONS)
    for (const combine of combines)
      for (const type of ['f32', 'i32'] as const) {
        const b = new PlanBuilder()
        const r = new Random(shape.length + shape[0])
        const n = numel(shape)
        // factors near 1, so that a long product stays finite
        const values =
          type === 'i32'
            ? r.ints(n, -20, 20)
            : combine === 'prod'
              ? r.floats(n, 1e-3).map((v) => 1 + v)
              : r.floats(n)
        const input = b.input(DTYPE_OF[type], shape, values)
        const operand = permute ? viewed(input, (v) => permuteView(v, permute)) : input
        const kept = operand.shape.slice(0, operand.shape.length - reducedRank)
        const out = b.output(DTYPE_OF[type], kept)
        const strides = [...out.strides, ...new Array<number>(reducedRank).fill(0)]
        b.reduce(combine, operand.shape, reducedRank, load(0, type), [[{ ...out, strides }, acc(type)]], {
          loads: [operand],
        })
        const special = n === 0 && type === 'f32' && (combine === 'max' || combine === 'min')
        const tolerance = combine === 'sum' && n > 10000 ? 2e-4 : 2e-5
        cases.push(b.build(`${combine} ${type} of ${name}`, { tolerance, special }))
      }
  cases.push(meanAndVariance(), strangeReduce(), epilogueOfColumns())
  for (const combine of ['max', 'min'] as const) {
    const b = new PlanBuilder()
    const rows = [1, NaN, 3, 4, NaN, NaN, -Infinity, -Infinity, 2, 1, Infinity, -Infinity]
    const out = b.output('float32', [3])
    b.reduce(combine, [3, 4], 1, x, [[{ ...out, strides: [1, 0] }, acc('f32')]], {
      loads: [b.input('float32', [3, 4], rows)],
    })
    cases.push(b.build(`${combine} of NaN and infinity`, { special: true, tolerance: 0 }))
  }
  return cases
}

/** Several stores, a scalar, and a load that does not vary over the reduced dimension. */
function meanAndVariance(): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(77)
  const means = floats(b, r, [13])
  const loads = [
    floats(b, r, [13, 70]),
    viewed(means, (v) => ({ shape: [13, 70], strides: [1, 0], offset: v.offset })),
  ]
  const deviation = x.sub(y)
  const variance = acc('f32').mul(scalar(0, 'f32'))
  const column = (t: PlanTensor): PlanTensor => ({ ...t, strides: [1, 0] })
  b.reduce(
    'sum',
    [13, 70],
    1,
    deviation.mul(deviation),
    [
      [column(b.output('float32', [13])), variance],
      [column(b.output('float32', [13])), constant(1, 'f32').div(variance.add(1e-5).sqrt()).add(y)],
      [column(b.output('bool', [13])), variance.gt(y)],
    ],
    { loads, scalars: [b.scalar(1 / 70)] },
  )
  return b.build('sum with several stores, a scalar and a kept load', { tolerance: 5e-5 })
}

/** Counting by a condition on addresses: an i32 sum of a comparison, over a transposed and a reversed load. */
function strangeReduce(): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(5)
  const t = floats(b, r, [20, 33])
  const reversed = viewed(t, (v) => sliceView(v, 1, 32, -1, 33))
  const loads = [
    viewed(t, (v) => permuteView(v, [1, 0])),
    viewed(reversed, (v) => permuteView(v, [1, 0])),
    iota([0, 1]),
  ]
  const counted = x.gt(y).and(address(2).rem(3).ne(0)).toI32()
  const out = b.output('int32', [33])
  b.reduce('sum', [33, 20], 1, counted, [[{ ...out, strides: [1, 0] }, acc('i32')]], { loads })
  return b.build('count by a condition')
}

/** Accumulates the sum over rows into a state, as the gradient of a bias does. */
function epilogueOfColumns(): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(6)
  const gradient = b.inPlace('float32', [37], r.floats(37))
  const column = viewed(gradient, () => ({ shape: [37, 90], strides: [1, 0], offset: 0 }))
  const loads = [viewed(floats(b, r, [90, 37]), (v) => permuteView(v, [1, 0])), column]
  b.reduce('sum', [37, 90], 1, x, [[column, acc('f32').add(y)]], { loads })
  return b.build('sum over rows added in place')
}

/** Every kind of map and reduce kernel; the reference backend is the oracle. */
export const loopCases = (): KernelCase[] => [
  ...sizeCases(),
  ...layoutCases(),
  ...structureCases(),
  ...operationCases(),
  ...mathCases(),
  ...reduceCases(),
  ...randomCases(),
]
