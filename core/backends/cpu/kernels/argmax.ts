import type { CallKernel } from '../../../plan/kernel.ts'
import {
  Address,
  F32x4,
  type FunctionBuilder,
  I32,
  I32x4,
  ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { argumentBlock, grainOf, operandAddress, rowsOf } from './arguments.ts'
import { RowLoops } from './row-loops.ts'

const block = argumentBlock({ x: 'address', to: 'address', columns: 'i32' })

/** Sets `found` to the first column whose lane of `isHit` is set; stops the search there. */
function findFirst(
  f: FunctionBuilder,
  rows: RowLoops,
  x: Address,
  columns: I32,
  found: Variable<I32>,
  isHit: (v: F32x4) => I32x4,
): void {
  const column = f.let(I32.const(0))
  f.block((end) => {
    rows.each(f, columns, [x], {}, ([v]) => {
      const hits = f.let(isHit(v).bitmask())
      f.if(hits, () => {
        found.set(column.add(hits.ctz()))
        f.br(end)
      })
      column.set(column.add(4))
    })
  })
}

/** Unit: one row. First the largest value (or whether there is a NaN), then its first place. */
function emitArgmax(isFloat: boolean): ModuleBuilder {
  const module = new ModuleBuilder()
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = block.read(f, args)
    f.for(start, end, 1, (row) => {
      const x = f.let(p.x.at(row.mul(p.columns), 4))
      const found = f.let(I32.const(0))
      if (isFloat) {
        const max = f.let(F32x4.const(Number.NEGATIVE_INFINITY))
        // false where a NaN has passed
        const ordered = f.let(I32x4.const(-1))
        rows.each(f, p.columns, [x], { fill: Number.NEGATIVE_INFINITY }, ([v]) => {
          max.set(max.pmax(v))
          ordered.set(ordered.and(v.eq(v)))
        })
        max.set(max.pmax(max.shuffle(max, [2, 3, 0, 1])))
        max.set(max.pmax(max.shuffle(max, [1, 0, 3, 2])))
        f.if(
          ordered.allTrue(),
          () => findFirst(f, rows, x, p.columns, found, (v) => v.eq(max)),
          () => findFirst(f, rows, x, p.columns, found, (v) => v.ne(v)),
        )
      } else {
        const max = f.let(I32x4.const(-(2 ** 31)))
        // the missing lanes of the last vector repeat the row's first element
        const first = f.let(x.loadSplatI32())
        rows.each(f, p.columns, [x], {}, ([v], keep) => {
          const inRow = f.let(keep(I32x4.const(-1).bitsToF32x4()).bitsToI32x4())
          max.set(max.maxS(inRow.select(v.bitsToI32x4(), first)))
        })
        max.set(max.maxS(max.shuffle(max, [2, 3, 0, 1])))
        max.set(max.maxS(max.shuffle(max, [1, 0, 3, 2])))
        findFirst(f, rows, x, p.columns, found, (v) => v.bitsToI32x4().eq(max))
      }
      f.store(p.to.at(row, 4), found)
    })
  })
  return module
}

export function lowerArgmax(kernel: CallKernel): Dispatch[] {
  const [x] = kernel.inputs
  const { rows, columns } = rowsOf(x)
  const isFloat = x.dtype === 'float32'
  const rowCost = columns * 0.4 + 20
  return [
    {
      codeKey: `argmax.${isFloat}`,
      emit: () => emitArgmax(isFloat),
      args: block.words({ x: operandAddress(x), to: operandAddress(kernel.outputs[0]), columns }),
      units: columns === 0 ? 0 : rows,
      grain: grainOf(rows, rowCost),
      cost: rows * rowCost,
    },
  ]
}
