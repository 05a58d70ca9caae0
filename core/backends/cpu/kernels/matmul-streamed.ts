/**
 * Products whose b is contiguous along K (a weight [N, K] seen transposed): its rows are read where they are, an element at a
 * time into all lanes, beside packed panels of a, and the result is stored transposed. Packing b would cost as much as the
 * product of 16 rows. Rows of b that are read together lie some rows apart: so many streams hide the latency of memory.
 */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import { type Dispatch, type LowerContext, scratch } from '../dispatch.ts'
import { argumentBlock, ceilDiv, operandAddress } from './arguments.ts'
import { LARGEST_PACKED, packRows } from './matmul-packing.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import {
  emitRowsTile,
  emitScatter,
  MOST_STREAMED_ROWS,
  type StreamedCode,
  tileOf,
} from './matmul-streamed-tile.ts'

/** Rows of a block: their packed panels stay in the second-level cache while rows of b pass. */
const BLOCK_BYTES = 384 << 10
/** Columns of the result from a row of a tile to the next: a line of the cache, which no other thread then writes. */
const APART = 16
const APART_FEW = 8
/** So many units at least, where there are rows: threads end together. */
const LEAST_UNITS = 16

const block = argumentBlock({
  x: 'address',
  w: 'address',
  y: 'address',
  bias: 'address',
  rows: 'i32',
  k: 'i32',
  columns: 'i32',
  /** Units side by side, columns of each, rows of each. */
  unitsN: 'i32',
  unitColumns: 'i32',
  unitRows: 'i32',
  wStride: 'address',
  yStride: 'address',
})

/** Unit: a block of rows of a with a block of rows of b. */
function emitStreamed(code: StreamedCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const { height, width } = tileOf(code)
  const bias = code.bias ? 'rows' : null
  const tile = { dtype: code.dtype, height, panel: width, bias } as const
  const whole = emitRowsTile(module, { ...tile, width })
  const half = code.isFew ? null : emitRowsTile(module, { ...tile, width: width / 2 })
  const scatter = emitScatter(module, code)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = block.read(f, args)
      f.for(start, end, 1, (unit) => {
        const firstColumn = f.let(unit.remU(p.unitsN).mul(p.unitColumns))
        const lastColumn = f.let(firstColumn.add(p.unitColumns).minS(p.columns))
        const firstRow = f.let(unit.divU(p.unitsN).mul(p.unitRows))
        const lastRow = f.let(firstRow.add(p.unitRows).minS(p.rows))
        const spread = f.let(lastColumn.sub(firstColumn).divU(height))
        // the columns left over are a tile of adjacent ones, up to the end
        const tiles = f.let(spread.add(lastColumn.sub(firstColumn).sub(spread.mul(height)).ne(0)))
        f.for(0, tiles, 1, (tile) => {
          const isSpread = tile.ltS(spread)
          const apart = f.let(isSpread.select(spread, I32.const(1)))
          const column = f.let(isSpread.select(firstColumn.add(tile), lastColumn.sub(height)))
          /** Rows of the tile that others have done. */
          const done = f.let(isSpread.select(I32.const(0), firstColumn.add(spread.mul(height)).sub(column)))
          const w = f.let(p.w.at(column, p.wStride))
          const wStride = f.let(p.wStride.mul(apart))
          const bias = f.let(p.bias.at(column, 4))
          const columnStride = f.let(Address.of(apart).shl(2))
          f.for(firstRow, lastRow, width, (row) => {
            const x = f.let(p.x.at(row.mul(p.k), 4))
            const rows = f.let(lastRow.sub(row).minS(I32.const(width)))
            const compute = (micro: typeof whole) =>
              f.call(micro, w, wStride, x, p.k, bias, columnStride, local, Address.const(4 * width))
            if (half)
              f.if(
                rows.leS(width / 2),
                () => compute(half),
                () => compute(whole),
              )
            else compute(whole)
            const y = f.let(p.y.at(row, p.yStride).at(column, 4))
            f.call(scatter, local, y, p.yStride, columnStride, rows, done)
          })
        })
      })
    },
  )
  return module
}

/** Halves take longer to widen than to pack. */
const isStreamedType = (dtype: DType): dtype is StreamedCode['dtype'] =>
  dtype === 'float32' || dtype === 'bfloat16'

/** Whether b's rows are contiguous along K, and there are few rows of a: with many, packed panels of b are worth their making. */
export const isStreamed = (p: MatmulProblem): boolean =>
  p.batches === 1 &&
  isStreamedType(p.b.dtype) &&
  p.b.strides.at(-2) === 1 &&
  p.n >= 12 &&
  p.m >= 5 &&
  p.m <= MOST_STREAMED_ROWS &&
  p.k > 0 &&
  p.m * p.k * 4 <= LARGEST_PACKED

export function lowerStreamed(p: MatmulProblem, ctx: LowerContext): Dispatch[] {
  const { features } = ctx
  const code: StreamedCode = {
    dtype: p.b.dtype as StreamedCode['dtype'],
    isFew: p.m <= 8,
    relaxedSimd: features.relaxedSimd,
    wideSimd: features.wideSimd,
    bias: p.bias !== null,
  }
  const { height, width } = tileOf(code)
  const packed = scratch(ctx.scratch(ceilDiv(p.m, width) * width * p.k * 4))
  const bytes = dtypeInfo(p.b.dtype).deviceBytes
  const unitColumns = height * (code.isFew ? APART_FEW : APART)
  const unitsN = ceilDiv(p.n, unitColumns)
  const panels = ceilDiv(p.m, width)
  const fitting = Math.max(1, Math.floor(BLOCK_BYTES / (p.k * 4 * width)))
  const unitRows = Math.min(fitting, Math.ceil(panels / ceilDiv(LEAST_UNITS, unitsN))) * width
  const units = unitsN * ceilDiv(p.m, unitRows)
  return [
    packRows(p, width, packed),
    {
      codeKey: `matmul.streamed.${Object.values(code).join('.')}`,
      wide: features.wideSimd,
      emit: () => emitStreamed(code),
      args: block.words({
        x: packed,
        w: operandAddress(p.b),
        y: operandAddress(p.c),
        bias: p.bias ? operandAddress(p.bias) : 0,
        rows: p.m,
        k: p.k,
        columns: p.n,
        unitsN,
        unitColumns,
        unitRows,
        wStride: p.b.strides.at(-1)! * bytes,
        yStride: p.n * 4,
      }),
      units,
      grain: 1,
      cost: (2 * p.n * panels * width * p.k) / 100,
      localBytes: height * width * 4,
    },
  ]
}
