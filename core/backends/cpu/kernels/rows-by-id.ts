/** Rows of a table by number, and the gradient of that: rows added up by number. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import type { CallKernel } from '../../../plan/kernel.ts'
import { I32, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { argumentBlock, ceilDiv, grainOf, operandAddress } from './arguments.ts'
import { loadFour, loadOne } from './elements.ts'
import { RowLoops } from './row-loops.ts'

const gatherBlock = argumentBlock({ table: 'i32', ids: 'i32', to: 'i32', tableRows: 'i32', columns: 'i32' })

/** Unit: one row of the result. */
function emitGatherRows(dtype: DType): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder()
  const bytes = dtypeInfo(dtype).deviceBytes
  module.function('run', { args: I32, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = gatherBlock.read(f, args)
    f.for(start, end, 1, (row) => {
      const id = f.let(p.ids.add(row.shl(2)).load())
      const to = f.let(p.to.add(row.mul(p.columns).shl(2)))
      f.if(
        id.ltU(p.tableRows),
        () => {
          const from = f.let(p.table.add(id.mul(p.columns).mul(bytes)))
          if (dtype === 'float32') {
            f.memoryCopy(to, from, p.columns.shl(2))
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
        () => f.for(0, p.columns, 1, (column) => f.storeF32(to.add(column.shl(2)), Number.NaN)),
      )
    })
  })
  return module.bytes()
}

export function lowerGatherRows(kernel: CallKernel): Dispatch[] {
  const [table, ids] = kernel.inputs
  const [tableRows, columns] = table.shape
  const units = ids.shape.reduce((a, b) => a * b, 1)
  const unitCost = columns / 4 + 10
  return [
    {
      codeKey: `gatherRows.${table.dtype}`,
      emit: () => emitGatherRows(table.dtype),
      args: gatherBlock.words({
        table: operandAddress(table),
        ids: operandAddress(ids),
        to: operandAddress(kernel.outputs[0]),
        tableRows,
        columns,
      }),
      units,
      grain: grainOf(units, unitCost),
      cost: units * unitCost,
    },
  ]
}

const scatterBlock = argumentBlock({
  from: 'i32',
  ids: 'i32',
  to: 'i32',
  count: 'i32',
  tableRows: 'i32',
  rowsPerUnit: 'i32',
  columns: 'i32',
})

/** Ranges of the table: enough for many threads, few enough that looking through the ids for each costs little. */
const SCATTER_UNITS = 64

/** Unit: a range of the table's rows: zeros, then the sums in the order of the ids. */
function emitScatterAddRows(): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder()
  const rows = new RowLoops(module)
  module.function('run', { args: I32, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = scatterBlock.read(f, args)
    const rowBytes = f.let(p.columns.shl(2))
    f.for(start, end, 1, (unit) => {
      const first = f.let(unit.mul(p.rowsPerUnit))
      const count = f.let(p.rowsPerUnit.minS(p.tableRows.sub(first)))
      const to = f.let(p.to.add(first.mul(rowBytes)))
      f.memoryFill(to, 0, count.mul(rowBytes))
      f.for(0, p.count, 1, (i) => {
        const row = f.let(p.ids.add(i.shl(2)).load().sub(first))
        f.if(row.ltU(count), () => {
          const sum = f.let(to.add(row.mul(rowBytes)))
          const reads = [sum, p.from.add(i.mul(rowBytes))]
          rows.each(f, p.columns, reads, { write: sum }, ([a, b]) => a.add(b))
        })
      })
    })
  })
  return module.bytes()
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
