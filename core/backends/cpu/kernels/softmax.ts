import type { CallKernel } from '../../../plan/kernel.ts'
import { Address, F32x4, I32, ModuleBuilder } from '../assembler.ts'
import type { Dispatch, LowerContext } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress, rowsOf } from './arguments.ts'
import { sumLanes } from './elements.ts'
import { negativeExponential } from './exp-negative.ts'
import { RowLoops } from './row-loops.ts'
import { logVector } from './vector-functions.ts'

const block = argumentBlock({ x: 'address', y: 'address', columns: 'i32' })

/** Unit: one row. */
function emitSoftmax(log: boolean, relaxedSimd: boolean): ModuleBuilder {
  const module = new ModuleBuilder({ relaxedSimd })
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = block.read(f, args)
    const exp = negativeExponential(f)
    const fill = Number.NEGATIVE_INFINITY
    f.for(start, end, 1, (row) => {
      const at = f.let(Address.of(row.mul(p.columns)).shl(2))
      const x = f.let(p.x.add(at))
      const y = f.let(p.y.add(at))
      // a NaN is passed over here, but makes the sum NaN
      const max = f.let(F32x4.const(fill))
      rows.each(f, p.columns, [x], { fill }, ([v]) => max.set(max.pmax(v)))
      max.set(max.pmax(max.shuffle(max, [2, 3, 0, 1])))
      max.set(max.pmax(max.shuffle(max, [1, 0, 3, 2])))
      const sum = f.let(F32x4.const(0))
      rows.each(f, p.columns, [x], { fill, write: log ? undefined : y }, ([v]) => {
        const e = f.let(exp(v.sub(max)))
        sum.set(sum.add(e))
        return e
      })
      const total = f.let(sumLanes(f, sum).splat())
      if (log) {
        const lse = f.let(logVector(f, total))
        rows.each(f, p.columns, [x], { write: y }, ([v]) => v.sub(max).sub(lse))
      } else {
        const inverse = f.let(F32x4.const(1).div(total))
        rows.each(f, p.columns, [y], { write: y }, ([e]) => e.mul(inverse))
      }
    })
  })
  return module
}

export function lowerSoftmax(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [x] = kernel.inputs
  const { rows, columns } = rowsOf(x)
  const log = kernel.attrs.log === true
  const { relaxedSimd } = ctx.features
  const rowCost = columns * 1.5 + 20
  return [
    {
      codeKey: `softmax.${log}.${relaxedSimd}`,
      emit: () => emitSoftmax(log, relaxedSimd),
      args: block.words({ x: operandAddress(x), y: operandAddress(kernel.outputs[0]), columns }),
      units: columns === 0 ? 0 : rows,
      grain: grainOf(rows, rowCost),
      cost: rows * rowCost,
    },
  ]
}
