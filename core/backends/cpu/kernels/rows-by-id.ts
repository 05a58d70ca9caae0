/** Rows of a table by number, and the gradient of that: rows added up by number. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { argumentBlock, ceilDiv, grainOf, operandAddress } from './arguments.ts'
import { loadFour, loadOne } from './elements.ts'
import { RowLoops } from './row-loops.ts'

/** For kernels that take one row an id. */
const rowsBlock = argumentBlock({
  from: 'address',
  ids: 'address',
  to: 'address',
  tableRows: 'i32',
  columns: 'i32',
})

/** Unit: one row of the result. */
function emitGatherRows(dtype: DType): ModuleBuilder {
  const module = new ModuleBuilder()
  const bytes = dtypeInfo(dtype).deviceBytes
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = rowsBlock.read(f, args)
    f.for(start, end, 1, (row) => {
      const id = f.let(p.ids.at(row, 4).load())
      const to = f.let(p.to.at(row.mul(p.columns), 4))
      f.if(
        id.ltU(p.tableRows),
        () => {
          const from = f.let(p.from.at(id.mul(p.columns), bytes))
          if (dtype === 'float32') {
            f.memoryCopy(to, from, Address.of(p.columns).shl(2))
            return
          }
          const advance = (count: number) => {
            from.set(from.add(count * bytes))
            to.set(to.add(count * 4))
          }
          const column = f.let(I32.const(0))
          f.forFrom(column, p.columns.sub(3), 4, () => {
            f.storeVector(to, loadFour(f, dtype, from))
            advance(4)
          })
          f.forFrom(column, p.columns, 1, () => {
            f.storeF32(to, loadOne(f, dtype, from))
            advance(1)
          })
        },
        () => f.for(0, p.columns, 1, (column) => f.storeF32(to.at(column, 4), Number.NaN)),
      )
    })
  })
  return module
}

/** `table` is the operand whose rows the ids number. */
function rowsDispatch(
  kernel: CallKernel,
  table: CallOperand,
  code: Pick<Dispatch, 'codeKey' | 'emit'>,
): Dispatch {
  const [from, ids] = kernel.inputs
  const [tableRows, columns] = table.shape
  const units = ids.shape.reduce((a, b) => a * b, 1)
  const unitCost = columns / 4 + 10
  return {
    ...code,
    args: rowsBlock.words({
      from: operandAddress(from),
      ids: operandAddress(ids),
      to: operandAddress(kernel.outputs[0]),
      tableRows,
      columns,
    }),
    units,
    grain: grainOf(units, unitCost),
    cost: units * unitCost,
  }
}

export function lowerGatherRows(kernel: CallKernel): Dispatch[] {
  const [table] = kernel.inputs
  const emit = () => emitGatherRows(table.dtype)
  return [rowsDispatch(kernel, table, { codeKey: `gatherRows.${table.dtype}`, emit })]
}

/** Unit: one row of the source. */
function emitPutRows(): ModuleBuilder {
  const module = new ModuleBuilder()
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = rowsBlock.read(f, args)
    const rowBytes = f.let(Address.of(p.columns).shl(2))
    f.for(start, end, 1, (row) => {
      const id = f.let(p.ids.at(row, 4).load())
      f.if(id.ltU(p.tableRows), () => f.memoryCopy(p.to.at(id, rowBytes), p.from.at(row, rowBytes), rowBytes))
    })
  })
  return module
}

export const lowerPutRows = (kernel: CallKernel): Dispatch[] => [
  rowsDispatch(kernel, kernel.outputs[0], { codeKey: 'putRows', emit: emitPutRows }),
]

const scatterBlock = argumentBlock({
  from: 'address',
  ids: 'address',
  to: 'address',
  count: 'i32',
  tableRows: 'i32',
  rowsPerUnit: 'i32',
  columns: 'i32',
})

/** Ranges of the table: enough for many threads, few enough that looking through the ids for each costs little. */
const SCATTER_UNITS = 64

/** Unit: a range of the table's rows: zeros, then the sums in the order of the ids. */
function emitScatterAddRows(): ModuleBuilder {
  const module = new ModuleBuilder()
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = scatterBlock.read(f, args)
    const rowBytes = f.let(Address.of(p.columns).shl(2))
    f.for(start, end, 1, (unit) => {
      const first = f.let(unit.mul(p.rowsPerUnit))
      const count = f.let(p.rowsPerUnit.minS(p.tableRows.sub(first)))
      const to = f.let(p.to.at(first, rowBytes))
      f.memoryFill(to, 0, Address.of(count).mul(rowBytes))
      f.for(0, p.count, 1, (i) => {
        const row = f.let(p.ids.at(i, 4).load().sub(first))
        f.if(row.ltU(count), () => {
          const sum = f.let(to.at(row, rowBytes))
          const reads = [sum, p.from.at(i, rowBytes)]
          rows.each(f, p.columns, reads, { write: sum }, ([a, b]) => a.add(b))
        })
      })
    })
  })
  return module
}

export function lowerScatterAddRows(kernel: CallKernel): Dispatch[] {
  const [from, ids] = kernel.inputs
  const [tableRows, columns] = kernel.outputs[0].shape
  const count = ids.shape.reduce((a, b) => a * b, 1)
  const rowsPerUnit = Math.max(1, ceilDiv(tableRows, SCATTER_UNITS))
  const units = ceilDiv(tableRows, rowsPerUnit)
  return [
    {
      codeKey: 'scatterAddRows',
      emit: emitScatterAddRows,
      args: scatterBlock.words({
        from: operandAddress(from),
        ids: operandAddress(ids),
        to: operandAddress(kernel.outputs[0]),
        count,
        tableRows,
        rowsPerUnit,
        columns,
      }),
      units,
      grain: 1,
      cost: tableRows * columns * 0.2 + count * columns * 0.5 + units * count,
    },
  ]
}
