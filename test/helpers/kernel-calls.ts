/** A case for every hand-written kernel and for every way its operands may lie. */
import type { DType } from '../../core/dtype.ts'
import { expandView, permuteView, sliceView } from '../../core/view.ts'
import { attentionCases } from './kernel-attention.ts'
import { type KernelCase, type PlanTensor, RandomPlan, viewed } from './kernel-plan.ts'

const transposed = (t: PlanTensor): PlanTensor =>
  viewed(t, (v) => {
    const dims = v.shape.map((_, d) => d)
    const last = dims.length - 1
    return permuteView(v, [...dims.slice(0, -2), last, last - 1])
  })

// --- matmul ---

interface MatmulSpec {
  readonly M: number
  readonly K: number
  readonly N: number
  readonly batch?: readonly number[]
  readonly transposeA?: boolean
  readonly transposeB?: boolean
  readonly bias?: boolean
  readonly dtypeB?: DType
  /** Operand whose batch is one matrix, broadcast. */
  readonly broadcast?: 'a' | 'b'
  /** Operands as heads of a [B, T, H, D] tensor, or as a window of a larger one. */
  readonly layout?: 'heads' | 'window'
}

function matmulOperand(
  b: RandomPlan,
  batch: readonly number[],
  rows: number,
  cols: number,
  spec: MatmulSpec,
  dtype: DType,
) {
  if (spec.layout === 'heads') {
    const [B, H] = batch
    return viewed(b.weights(dtype, [B, rows, H, cols]), (v) => permuteView(v, [0, 2, 1, 3]))
  }
  if (spec.layout === 'window') {
    const rank = batch.length
    const whole = b.weights(dtype, [...batch, rows + 3, cols + 5])
    return viewed(whole, (v) => sliceView(sliceView(v, rank, 2, 1, rows), rank + 1, 3, 1, cols))
  }
  return b.weights(dtype, [...batch, rows, cols])
}

function matmulCase(spec: MatmulSpec, seed: number): KernelCase {
  const { M, K, N, batch = [], dtypeB = 'float32' } = spec
  const b = new RandomPlan(seed)
  const operand = (which: 'a' | 'b', rows: number, cols: number, flip: boolean | undefined, dtype: DType) => {
    const own = spec.broadcast === which ? [] : batch
    const t = flip
      ? transposed(matmulOperand(b, own, cols, rows, spec, dtype))
      : matmulOperand(b, own, rows, cols, spec, dtype)
    return viewed(t, (v) => expandView(v, [...batch, rows, cols]))
  }
  const inputs = [
    operand('a', M, K, spec.transposeA, 'float32'),
    operand('b', K, N, spec.transposeB, dtypeB),
    ...(spec.bias ? [b.floats([N])] : []),
  ]
  b.call('matmul', inputs, [b.output('float32', [...batch, M, N])], { bias: spec.bias === true })
  return b.build(`matmul ${JSON.stringify(spec)}`, { tolerance: 2e-5 })
}

function matmulCases(): KernelCase[] {
  const sizes = [
    [1, 1, 1],
    [1, 64, 48],
    [1, 77, 131],
    [7, 5, 3],
    [4, 8, 1],
    [33, 17, 65],
    [64, 64, 64],
    [130, 96, 100],
    [3, 700, 2],
    [4, 0, 3],
  ]
  const specs: MatmulSpec[] = []
  for (const [M, K, N] of sizes)
    for (const [transposeA, transposeB] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ])
      specs.push({ M, K, N, transposeA, transposeB })
  specs.push(
    { M: 5, K: 6, N: 7, bias: true },
    { M: 65, K: 64, N: 96, bias: true, transposeB: true },
    { M: 1, K: 128, N: 200, bias: true, transposeB: true },
    { M: 9, K: 10, N: 11, batch: [3] },
    { M: 9, K: 10, N: 11, batch: [3], bias: true, transposeB: true },
    { M: 5, K: 4, N: 6, batch: [2, 3], transposeA: true },
    { M: 5, K: 4, N: 6, batch: [2, 1, 3], transposeB: true },
    { M: 12, K: 16, N: 20, batch: [2, 3], broadcast: 'b', transposeB: true, bias: true },
    { M: 12, K: 16, N: 20, batch: [4], broadcast: 'a' },
    { M: 13, K: 32, N: 13, batch: [2, 4], layout: 'heads', transposeB: true },
    { M: 13, K: 19, N: 32, batch: [2, 4], layout: 'heads' },
    { M: 21, K: 18, N: 25, layout: 'window' },
    { M: 21, K: 18, N: 25, layout: 'window', batch: [2], transposeA: true, transposeB: true },
  )
  for (const dtypeB of ['float16', 'bfloat16'] as const)
    specs.push(
      { M: 6, K: 33, N: 17, dtypeB },
      { M: 40, K: 64, N: 72, dtypeB, transposeB: true, bias: true },
      { M: 1, K: 96, N: 130, dtypeB, transposeB: true },
      { M: 5, K: 31, N: 9, dtypeB, layout: 'window' },
      { M: 5, K: 8, N: 9, dtypeB, batch: [3], transposeB: true },
    )
  return specs.map((spec, i) => matmulCase(spec, 100 + i))
}

// --- rows ---

const ROWS = [
  [1, 1],
  [3, 5],
  [2, 64],
  [37, 33],
  [5, 1000],
  [1, 4099],
]

function softmaxCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const log of [false, true]) {
    for (const [R, C] of ROWS) {
      const b = new RandomPlan(R * C)
      b.call('softmax', [b.floats([R, C], 20)], [b.output('float32', [R, C])], { log })
      cases.push(b.build(`softmax [${R},${C}] log ${log}`))
    }
    const b = new RandomPlan(7)
    const x = [3, -Infinity, 1, 2, -Infinity, -Infinity, -Infinity, -Infinity, 1e30, -1e30, 0, NaN]
    b.call('softmax', [b.input('float32', [3, 4], x)], [b.output('float32', [3, 4])], { log })
    cases.push(b.build(`softmax of -inf and NaN log ${log}`, { special: true }))
    const large = new RandomPlan(8)
    const near = large.random.floats(40, 1).map((v) => v + 3e4)
    large.call('softmax', [large.input('float32', [4, 10], near)], [large.output('float32', [4, 10])], {
      log,
    })
    cases.push(large.build(`softmax of large values log ${log}`))
  }
  return cases
}

function normCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const [R, C] of ROWS) {
    for (const [weight, bias] of [
      [false, false],
      [true, false],
      [true, true],
      [false, true],
    ]) {
      const b = new RandomPlan(R + C)
      const x = b.floats([R, C], 3)
      const w = weight ? [b.floats([C])] : []
      const eps = [b.scalar(1e-5)]
      const [mean, rstd] = [b.output('float32', [R]), b.output('float32', [R])]
      const y = b.output('float32', [R, C])
      b.call('layerNorm', [x, ...w, ...(bias ? [b.floats([C])] : [])], [y, mean, rstd], { weight, bias }, eps)
      if (!bias)
        b.call('layerNormBackward', [b.floats([R, C]), x, mean, rstd, ...w], [b.output('float32', [R, C])], {
          weight,
        })
      // one element: the variance is 0 up to rounding, which 1 / sqrt(eps) magnifies
      cases.push(
        b.build(`layerNorm [${R},${C}] weight ${weight} bias ${bias}`, { tolerance: C === 1 ? 1e-2 : 2e-5 }),
      )
    }
    for (const weight of [false, true]) {
      const b = new RandomPlan(R + C)
      const x = b.floats([R, C], 3)
      const w = weight ? [b.floats([C])] : []
      const rstd = b.output('float32', [R])
      b.call('rmsNorm', [x, ...w], [b.output('float32', [R, C]), rstd], { weight }, [b.scalar(1e-6)])
      b.call('rmsNormBackward', [b.floats([R, C]), x, rstd, ...w], [b.output('float32', [R, C])], { weight })
      cases.push(b.build(`rmsNorm [${R},${C}] weight ${weight}`, { tolerance: 2e-5 }))
    }
  }
  const far = new RandomPlan(5)
  const x = far.random.floats(64, 1).map((v) => v + 1000)
  const outputs = [far.output('float32', [2, 32]), far.output('float32', [2]), far.output('float32', [2])]
  far.call('layerNorm', [far.input('float32', [2, 32], x)], outputs, { weight: false, bias: false }, [
    far.scalar(1e-5),
  ])
  // a mean far from 0: one-pass sums of squares fail here
  cases.push(far.build('layerNorm far from 0', { tolerance: 1e-3 }))
  return cases
}

// --- indexing ---

function indexingCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const dtype of ['float32', 'float16', 'bfloat16'] as const)
    for (const [V, D, N] of [
      [1, 1, 1],
      [10, 7, 5],
      [50, 64, 33],
      [5, 384, 70],
    ]) {
      const b = new RandomPlan(V)
      b.call('gatherRows', [b.weights(dtype, [V, D]), b.ids([N], 0, V - 1)], [b.output('float32', [N, D])])
      cases.push(b.build(`gatherRows ${dtype} [${V},${D}] ${N}`, { tolerance: 0 }))
    }
  const outside = new RandomPlan(3)
  const badIds = outside.input('int32', [4], [0, -1, 3, 2])
  outside.call('gatherRows', [outside.floats([3, 6]), badIds], [outside.output('float32', [4, 6])])
  cases.push(outside.build('gatherRows ids outside', { tolerance: 0, special: true }))

  for (const [V, D, N] of [
    [1, 1, 1],
    [10, 7, 50],
    [300, 64, 33],
    [4, 130, 500],
  ]) {
    const b = new RandomPlan(V + N)
    b.call('scatterAddRows', [b.floats([N, D]), b.ids([N], -1, V)], [b.output('float32', [V, D])])
    cases.push(b.build(`scatterAddRows ${N} into [${V},${D}]`))
  }

  for (const [V, D, N] of [
    [1, 1, 1],
    [10, 7, 4],
    [300, 64, 33],
    [40, 130, 42],
  ]) {
    const b = new RandomPlan(V + N)
    // all different: 7 has no divisor in common with these V; -1 and V are outside
    const ids = Int32Array.from({ length: N }, (_, n) => (n < V ? (n * 7 + 3) % V : n % 2 ? -1 : V))
    b.call('putRows', [b.floats([N, D]), b.input('int32', [N], ids)], [b.output('float32', [V, D])])
    cases.push(b.build(`putRows ${N} into [${V},${D}]`, { tolerance: 0 }))
  }

  for (const dtype of ['float32', 'int32'] as const)
    for (const [R, C, K] of [
      [1, 1, 1],
      [5, 9, 4],
      [40, 128, 1],
      [3, 5, 17],
    ]) {
      const b = new RandomPlan(R + C)
      const x = dtype === 'float32' ? b.floats([R, C]) : b.ids([R, C], -1000, 1000)
      b.call('gather', [x, b.ids([R, K], 0, C - 1)], [b.output(dtype, [R, K])])
      cases.push(b.build(`gather ${dtype} [${R},${C}] at [${R},${K}]`, { tolerance: 0 }))
    }
  for (const dtype of ['float32', 'int32'] as const) {
    const b = new RandomPlan(9)
    const index = b.input('int32', [2, 3], [0, -1, 3, 4, -100, 2])
    const x = dtype === 'float32' ? b.floats([2, 4]) : b.ids([2, 4], 1, 9)
    b.call('gather', [x, index], [b.output(dtype, [2, 3])])
    cases.push(b.build(`gather ${dtype} outside`, { tolerance: 0, special: true }))
  }

  for (const [R, C] of ROWS) {
    const b = new RandomPlan(R + C)
    b.call('argmax', [b.floats([R, C])], [b.output('int32', [R])])
    const ties = new RandomPlan(R)
    ties.call(
      'argmax',
      [ties.input('float32', [R, C], ties.random.ints(R * C, 0, 3))],
      [ties.output('int32', [R])],
    )
    cases.push(b.build(`argmax [${R},${C}]`), ties.build(`argmax with ties [${R},${C}]`))
  }
  const b = new RandomPlan(1)
  const x = [1, NaN, 5, NaN, -Infinity, -Infinity, -Infinity, -Infinity, 0, Infinity, 1, Infinity]
  b.call('argmax', [b.input('float32', [3, 4], x)], [b.output('int32', [3])])
  cases.push(b.build('argmax of NaN and infinity', { special: true }))
  return cases
}

function philoxCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const n of [1, 4, 15, 16, 17, 1000])
    for (const words of [
      [0, 0, 0, 0],
      [12345, -6789, 77, 0],
      [-1, -1, -3, -1],
    ]) {
      const b = new RandomPlan(n)
      b.call(
        'philox',
        [],
        [b.output('int32', [n])],
        {},
        words.map((w) => b.scalar(w, 'i32')),
      )
      cases.push(b.build(`philox ${n} from ${words}`))
    }
  return cases
}

/** Every hand-written kernel; the reference backend is the oracle. */
export const callCases = (): KernelCase[] => [
  ...matmulCases(),
  ...softmaxCases(),
  ...normCases(),
  ...indexingCases(),
  ...philoxCases(),
  ...attentionCases(),
]
