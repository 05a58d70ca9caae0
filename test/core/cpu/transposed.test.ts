/** Maps whose operands are transposed take a path of their own, in tiles: sizes around its edges, against the reference. */
import { afterAll, describe, it } from 'vitest'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { load, scalar } from '../../../core/expr.ts'
import { numel } from '../../../core/shape.ts'
import { expandView, permuteView } from '../../../core/view.ts'
import { compareBackends, type KernelCase, PlanBuilder, Random, viewed } from '../../helpers/kernels.ts'

const SIZES = [8, 15, 16, 17, 63, 64, 66, 130]

/** [columns, rows] read as [rows, columns], next to a contiguous, a broadcast and an integer operand that is transposed too. */
function matrixCase(rows: number, columns: number): KernelCase {
  const b = new PlanBuilder()
  const r = new Random(rows * 1000 + columns)
  const shape = [rows, columns]
  const floats = (s: number[]) => b.input('float32', s, r.floats(numel(s)))
  const turned = viewed(floats([columns, rows]), (v) => permuteView(v, [1, 0]))
  const whole = viewed(b.input('int32', [columns, rows], r.ints(rows * columns, -9, 9)), (v) =>
    permuteView(v, [1, 0]),
  )
  const row = viewed(floats([columns]), (v) => expandView(v, shape))
  const column = viewed(floats([rows, 1]), (v) => expandView(v, shape))
  const loads = [turned, floats(shape), row, column, whole]
  const [x, y, z, w] = [0, 1, 2, 3].map((i) => load(i, 'f32'))
  const value = x.mul(y).add(z).mul(w).add(scalar(0, 'f32')).add(load(4, 'i32').toF32())
  b.map(
    shape,
    [
      [b.output('float32', shape), value],
      [b.output('bool', shape), x.gt(0)],
    ],
    { loads, scalars: [b.scalar(0.5)] },
  )
  return b.build(`${rows} x ${columns}`)
}

/** Four dimensions, of which the first and the last change places. */
function outerCase(): KernelCase {
  const b = new PlanBuilder()
  const input = b.input('float32', [20, 3, 2, 35], new Random(5).floats(20 * 3 * 2 * 35))
  const turned = viewed(input, (v) => permuteView(v, [3, 1, 2, 0]))
  const output = b.output('float32', [35, 3, 2, 20])
  b.map([35, 3, 2, 20], [[output, load(0, 'f32').neg()]], { loads: [turned] })
  return b.build('four dimensions')
}

const cpu = createCpuBackend({ threads: 2, shareAlways: true })
const reference = createReferenceBackend()
afterAll(() => cpu.shutdown())

describe('transposed operands', () => {
  const cases = SIZES.flatMap((rows) => SIZES.map((columns) => matrixCase(rows, columns)))
  it.each([...cases, outerCase()].map((c) => [c.name, c] as const))('%s', async (_, c) => {
    await cpu.startWorkers()
    await compareBackends(c, reference, cpu)
  })
})
