/**
 * Products of many rows: a is packed for all threads, but a strip of b by the thread that uses it, into its own second-level
 * cache. What a thread packs for others goes through the cache that all share, there and back, which took 8 % of 1024^3.
 */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import type { Epilogue } from '../../../plan/kernel.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import { type CpuFeatures, type Dispatch, type LowerContext, scratch, shifted } from '../dispatch.ts'
import { argumentBlock, ceilDiv, operandAddress } from './arguments.ts'
import { type EpilogueCode, epilogueCode } from './matmul-epilogue.ts'
import { emitPackPanel, emitPackRuns, PANEL_A, panelWidth } from './matmul-pack.ts'
import { LARGEST_PACKED, packDispatch } from './matmul-packing.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { emitTile, kBlockOf, TILE_ROWS, TILE_SCRATCH, TILE_ZEROS } from './matmul-tile.ts'

/** Columns of a strip. */
const STRIP = 64
const LARGEST_K = 4096
/** Wider strips with an epilogue: longer runs of the operands that it reads and writes beside the product. */
const EPILOGUE_STRIP = 128
const EPILOGUE_STRIP_BYTES = 1 << 20
/** Bytes of a tile that goes nowhere but into the epilogue. */
const TILE_BYTES = TILE_ROWS * EPILOGUE_STRIP * 4
/** Rows of a unit at least, so that packing the strip does not show, and units at least, where there are rows. */
const LEAST_ROWS = 192
const LEAST_UNITS = 12

const block = argumentBlock({
  a: 'address',
  b: 'address',
  c: 'address',
  bias: 'address',
  m: 'i32',
  n: 'i32',
  k: 'i32',
  kBlock: 'i32',
  unitRows: 'i32',
  strips: 'i32',
  stripColumns: 'i32',
  /** Of the whole result, which is the first one here. */
  firstRow: 'i32',
  columnStride: 'address',
  kStride: 'address',
  cStride: 'address',
})
type Parameters = ReturnType<typeof block.read>

/** Unit: a strip of columns for some rows. */
function emitPackedStrips(dtype: DType, features: CpuFeatures, epilogue: EpilogueCode): ModuleBuilder {
  const module = new ModuleBuilder(features)
  const width = panelWidth(features)
  const bytes = dtypeInfo(dtype).deviceBytes
  const packPanel = emitPackPanel(module, width, dtype)
  const packRuns = emitPackRuns(module, width, dtype)
  const tile = emitTile(module, width)
  const finish = epilogue.emit(module)
  const isStored = epilogue.keepsProduct
  const tileBytes = isStored ? 0 : TILE_BYTES

  /** [block of K][panel][k][width]. */
  const packStrip = module.function(
    null,
    { args: Address, to: Address, column: I32, columns: I32 },
    (f, { args, to, column, columns }) => {
      const p: Parameters = block.read(f, args)
      f.for(0, p.k, p.kBlock, (k0) => {
        const length = f.let(p.kBlock.minS(p.k.sub(k0)))
        const panelBytes = f.let(Address.of(length).mul(width * 4))
        const from = f.let(p.b.at(column, p.columnStride).at(k0, p.kStride))
        const done = f.let(I32.const(0))
        f.if(p.columnStride.eq(bytes), () => {
          const whole = f.let(columns.divU(width))
          f.call(packRuns, to, panelBytes, from, p.kStride, whole, length)
          done.set(whole.mul(width))
          from.set(from.at(whole, width * bytes))
          to.set(to.at(whole, panelBytes))
        })
        f.forFrom(done, columns, width, () => {
          const left = columns.sub(done).minS(I32.const(width))
          f.call(packPanel, to, from, p.columnStride, p.kStride, left, length)
          from.set(from.add(p.columnStride.mul(width)))
          to.set(to.add(panelBytes))
        })
      })
    },
  )

  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = block.read(f, args)
      f.memoryFill(local, 0, TILE_ZEROS)
      const strip = f.let(local.add(TILE_SCRATCH + tileBytes))
      const panelsA = f.let(p.m.add(PANEL_A - 1).divU(PANEL_A))
      f.for(start, end, 1, (unit) => {
        const column = f.let(unit.remU(p.strips).mul(p.stripColumns))
        const columns = f.let(p.n.sub(column).minS(p.stripColumns))
        f.call(packStrip, args, strip, column, columns)
        const panelsB = f.let(columns.add(width - 1).divU(width))
        const bias = f.let(p.bias.select<Address>(p.bias.at(column, 4), Address.const(0)))
        const first = f.let(unit.divU(p.strips).mul(p.unitRows))
        const last = f.let(first.add(p.unitRows).minS(p.m))
        f.for(first, last, TILE_ROWS, (row) => {
          const rows = f.let(last.sub(row).minS(I32.const(TILE_ROWS)))
          const c = f.let(isStored ? p.c.at(row, p.cStride).at(column, 4) : local.add(TILE_SCRATCH))
          const cStride = f.let(isStored ? p.cStride : Address.const(EPILOGUE_STRIP * 4))
          f.call(
            tile,
            p.a,
            strip,
            panelsA,
            panelsB,
            row.divU(PANEL_A),
            I32.const(0),
            rows,
            columns,
            p.k,
            p.kBlock,
            c,
            cStride,
            bias,
            local,
          )
          if (finish) f.call(finish, args, c, cStride, p.firstRow.add(row), column, rows, columns)
        })
      })
    },
  )
  return module
}

/** Whether a strip stays in the second-level cache, and rows and columns are enough for some. */
export const isInPackedStrips = (p: MatmulProblem): boolean =>
  p.batches === 1 && p.m >= TILE_ROWS && p.n >= STRIP && p.k > 0 && p.k <= LARGEST_K

/** Columns of a strip with an epilogue: as many as stay in the second-level cache. */
const epilogueStrip = (k: number): number =>
  Math.max(STRIP, Math.min(EPILOGUE_STRIP, Math.floor(EPILOGUE_STRIP_BYTES / (4 * k) / STRIP) * STRIP))

export function lowerPackedStrips(p: MatmulProblem, ctx: LowerContext, epilogue?: Epilogue): Dispatch[] {
  const { features } = ctx
  const bytes = dtypeInfo(p.b.dtype).deviceBytes
  const [kStride, columnStride] = p.b.strides.slice(-2).map((stride) => stride * bytes)
  const fitting = Math.floor(LARGEST_PACKED / (p.k * 4) / TILE_ROWS) * TILE_ROWS
  const rowsAtATime = Math.min(p.m, fitting)
  const packed = scratch(ctx.scratch(ceilDiv(rowsAtATime, PANEL_A) * PANEL_A * p.k * 4))
  const stripColumns = epilogue ? epilogueStrip(p.k) : STRIP
  const strips = ceilDiv(p.n, stripColumns)
  const dispatches: Dispatch[] = []
  for (let first = 0; first < p.m; first += rowsAtATime) {
    const rows = Math.min(rowsAtATime, p.m - first)
    const cuts = Math.max(1, Math.min(ceilDiv(LEAST_UNITS, strips), Math.floor(rows / LEAST_ROWS)))
    const unitRows = ceilDiv(ceilDiv(rows, cuts), TILE_ROWS) * TILE_ROWS
    const words = block.words({
      a: packed,
      b: operandAddress(p.b),
      c: shifted(operandAddress(p.c), first * p.n * 4),
      bias: p.bias ? operandAddress(p.bias) : 0,
      m: rows,
      n: p.n,
      k: p.k,
      kBlock: kBlockOf(p.k),
      unitRows,
      strips,
      stripColumns,
      firstRow: first,
      columnStride,
      kStride,
      cStride: p.n * 4,
    })
    const code = epilogueCode(epilogue, p.c.buffer, words, features)
    const tileBytes = code.keepsProduct ? 0 : TILE_BYTES
    dispatches.push(
      packDispatch(p, features, { operand: 'a', first, rows, firstBatch: 0, batches: 1, to: packed }),
      {
        codeKey: `matmul.packedStrips.${p.b.dtype}.${features.relaxedSimd}.${features.wideSimd}${code.key}`,
        wide: features.wideSimd,
        emit: () => emitPackedStrips(p.b.dtype, features, code),
        args: code.words,
        units: strips * ceilDiv(rows, unitRows),
        grain: 1,
        cost: rows * p.n * ((2 * p.k) / 100 + code.elementCost),
        localBytes: TILE_SCRATCH + tileBytes + stripColumns * p.k * 4,
      },
    )
  }
  return dispatches
}
