import type { CallKernel } from '../../../plan/kernel.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress, rowsOf } from './arguments.ts'

const block = argumentBlock({
  x: 'address',
  index: 'address',
  to: 'address',
  columns: 'i32',
  perRow: 'i32',
  outside: 'i32',
})
const NAN_BITS = 0x7fc00000

/** Unit: one element of the result, moved as a 32-bit word. */
function emitGather(): ModuleBuilder {
  const module = new ModuleBuilder()
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = block.read(f, args)
    f.for(start, end, 1, (unit) => {
      const column = f.let(p.index.at(unit, 4).load())
      const value = f.let<I32>(p.outside)
      f.if(column.ltU(p.columns), () => {
        const row = unit.divU(p.perRow)
        value.set(p.x.at(row.mul(p.columns).add(column), 4).load())
      })
      f.store(p.to.at(unit, 4), value)
    })
  })
  return module
}

export function lowerGather(kernel: CallKernel): Dispatch[] {
  const [x, index] = kernel.inputs
  const { columns } = rowsOf(x)
  const { rows, columns: perRow } = rowsOf(index)
  const units = rows * perRow
  return [
    {
      codeKey: 'gather',
      emit: emitGather,
      args: block.words({
        x: operandAddress(x),
        index: operandAddress(index),
        to: operandAddress(kernel.outputs[0]),
        columns,
        perRow,
        outside: x.dtype === 'float32' ? NAN_BITS : 0,
      }),
      units,
      grain: grainOf(units, 4),
      cost: units * 4,
    },
  ]
}
