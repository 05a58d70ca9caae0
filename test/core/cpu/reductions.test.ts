/** Reductions large enough to be cut into chunks, along rows and along columns, against the reference. */
import { afterAll, describe, it } from 'vitest'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { acc, load } from '../../../core/expr.ts'
import type { Combine } from '../../../core/plan/kernel.ts'
import { contiguousStrides, numel } from '../../../core/shape.ts'
import { permuteView, type View } from '../../../core/view.ts'
import { compareBackends, type KernelCase, PlanBuilder, Random, viewed } from '../../helpers/kernels.ts'

/**
 * Reduces `dims` of a contiguous tensor of `sizes`: sum of x * w (w varies over the last reduced dimension only) and what
 * the stores make of it with another operand; max and min of x - w.
 */
function reduction(
  sizes: readonly number[],
  dims: readonly number[],
  combine: Combine,
  integer = false,
): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(numel(sizes) + dims.length)
  const kept = sizes.map((_, d) => d).filter((d) => !dims.includes(d))
  const order = [...kept, ...dims]
  const shape = order.map((d) => sizes[d])
  const dtype = integer ? 'int32' : 'float32'
  const type = integer ? 'i32' : 'f32'
  // factors are 1 and -1: products of others depend on the order far more than sums do
  const signs = (n: number) => Float32Array.from({ length: n }, () => r.pick([0, -2]))
  const data = (n: number) => (integer ? r.ints(n, -1000, 1000) : combine === 'prod' ? signs(n) : r.floats(n))
  const x = viewed(b.input(dtype, sizes, data(numel(sizes))), (v: View) => permuteView(v, order))
  const last = sizes[dims[dims.length - 1]]
  const weights = b.input(dtype, [last], data(last))
  const w = { ...weights, shape, strides: shape.map((_, d) => (d === shape.length - 1 ? 1 : 0)) }
  const keptShape = shape.slice(0, kept.length)
  const pad = dims.map(() => 0)
  const outputStrides = [...contiguousStrides(keptShape), ...pad]
  const bias = { ...b.input(dtype, keptShape, data(numel(keptShape))), shape, strides: outputStrides }
  const output = () => ({ ...b.output(dtype, keptShape), strides: outputStrides })
  const [value, weight, other] = [0, 1, 2].map((i) => load(i, type))
  const body = combine === 'sum' ? value.mul(weight) : combine === 'prod' ? value.add(1) : value.sub(weight)
  b.reduce(
    combine,
    shape,
    dims.length,
    body,
    [
      [output(), acc(type)],
      [output(), acc(type).add(other).mul(2)],
    ],
    { loads: [x, w, bias] },
  )
  return b.build(`${combine} of ${dtype} [${sizes}] over ${dims}`, { tolerance: 2e-4 })
}

/** [T, N] -> [N] where the first load does not vary over the columns. */
function weightedColumns(): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(3)
  const [rows, columns] = [5001, 30]
  const w = { ...b.input('float32', [rows], r.floats(rows)), shape: [columns, rows], strides: [0, 1] }
  const x = b.input('float32', [rows, columns], r.floats(rows * columns))
  const output = { ...b.output('float32', [columns]), strides: [1, 0] }
  const turned = viewed(x, (v) => permuteView(v, [1, 0]))
  const body = load(0, 'f32').mul(load(1, 'f32'))
  b.reduce('sum', [columns, rows], 1, body, [[output, acc('f32')]], { loads: [w, turned] })
  return b.build('weighted columns', { tolerance: 2e-4 })
}

const CASES: KernelCase[] = [
  weightedColumns(),
  // rows
  reduction([300_001], [0], 'sum'),
  reduction([300_001], [0], 'max'),
  reduction([300_001], [0], 'prod'),
  reduction([300_001], [0], 'sum', true),
  reduction([300_001], [0], 'min', true),
  reduction([3, 70_003], [1], 'sum'),
  reduction([700, 301], [1], 'sum'),
  reduction([5, 130, 20, 17], [1, 3], 'sum'),
  reduction([2, 600, 3, 101], [1, 3], 'max'),
  reduction([4, 50, 3, 250], [0, 1, 3], 'sum'),
  // columns
  reduction([5000, 37], [0], 'sum'),
  reduction([5000, 37], [0], 'min'),
  reduction([5000, 37], [0], 'sum', true),
  reduction([300, 1030], [0], 'sum'),
  reduction([130, 2051], [0], 'prod'),
  reduction([2, 900, 3, 70], [1], 'sum'),
  reduction([60, 3, 70, 33], [0, 2], 'sum'),
  reduction([60, 3, 70, 33], [0, 2], 'max'),
  reduction([2, 3, 4, 5], [0, 2], 'sum'),
]

const cpu = createCpuBackend({ threads: 2, shareAlways: true })
const plain = createCpuBackend({ threads: 1, relaxedSimd: false })
const reference = createReferenceBackend()
afterAll(() => Promise.all([cpu.shutdown(), plain.shutdown()]))

describe('large reductions', () => {
  it.each(CASES.map((c) => [c.name, c] as const))('%s', async (_, c) => {
    await cpu.startWorkers()
    await compareBackends(c, reference, cpu)
    await compareBackends(c, reference, plain)
  })
})
