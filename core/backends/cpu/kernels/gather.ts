import type { CallKernel } from '../../../plan/kernel.ts'
import { I32, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress, rowsOf } from './arguments.ts'

const block = argumentBlock({
  x: 'i32',
  index: 'i32',
  to: 'i32',
  columns: 'i32',
  perRow: 'i32',
  outside: 'i32',
})
const NAN_BITS = 0x7fc00000

/** Unit: one element of the result, moved as a 32-bit word. */
function emitGather(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder()
  module.function('run', { args: I32, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = block.read(f, args)
    f.for(start, end, 1, (unit) => {
      const column = f.let(p.index.add(unit.shl(2)).load())
      const value = f.let<I32>(p.outside)
      f.if(column.ltU(p.columns), () => {
        const row = unit.divU(p.perRow)
        value.set(p.x.add(row.mul(p.columns).add(column).shl(2)).load())
      })
      f.store(p.to.add(unit.shl(2)), value)
    })
  })
  return module.bytes()
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
