/**
 * The general matrix product after Goto and van de Geijn ("Anatomy of High-Performance Matrix Multiplication", 2008): pack
 * both operands into panels, then compute tiles of the result whose panels fit the second-level cache. (Reading rows of a
 * where they are, where they are contiguous, saves their packing and loses more: 10 to 20 % of the tiles' time, since six
 * short streams are prefetched less well than one long one.)
 */
import type { Epilogue } from '../../../plan/kernel.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import {
  type ArgWord,
  type CpuFeatures,
  type Dispatch,
  type LowerContext,
  scratch,
  shifted,
} from '../dispatch.ts'
import { argumentBlock, ceilDiv, operandAddress } from './arguments.ts'
import { type EpilogueCode, epilogueCode } from './matmul-epilogue.ts'
import { PANEL_A, panelWidth } from './matmul-pack.ts'
import { LARGEST_PACKED, packDispatch } from './matmul-packing.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { emitTile, kBlockOf, TILE_ROWS, TILE_SCRATCH, TILE_ZEROS } from './matmul-tile.ts'

/** Columns of a tile. */
const TILE_COLUMNS = 64
/** With an epilogue: longer runs of the operands that it reads and writes beside the tile. */
const EPILOGUE_COLUMNS = 256

const tileBlock = argumentBlock({
  a: 'address',
  b: 'address',
  c: 'address',
  bias: 'address',
  m: 'i32',
  n: 'i32',
  k: 'i32',
  kBlock: 'i32',
  cStride: 'address',
  batchStrideA: 'address',
  batchStrideB: 'address',
  batchStrideC: 'address',
  tilesN: 'i32',
  tilesPerBatch: 'i32',
  tileColumns: 'i32',
  // of the whole result, where an epilogue goes on: its row that is the first one here, its column, and rows of a batch
  firstRow: 'i32',
  firstColumn: 'i32',
  rowsPerBatch: 'i32',
})

/** Bytes of a tile that goes nowhere but into the epilogue. */
const TILE_BYTES = TILE_ROWS * EPILOGUE_COLUMNS * 4

/** Unit: one tile of one batch. */
function emitTiles(features: CpuFeatures, epilogue: EpilogueCode): ModuleBuilder {
  const module = new ModuleBuilder(features)
  const width = panelWidth(features)
  const tile = emitTile(module, width)
  const finish = epilogue.emit(module)
  const isStored = epilogue.keepsProduct
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = tileBlock.read(f, args)
      f.memoryFill(local, 0, TILE_ZEROS)
      const panelsA = f.let(p.m.add(PANEL_A - 1).divU(PANEL_A))
      const panelsB = f.let(p.n.add(width - 1).divU(width))
      f.for(start, end, 1, (unit) => {
        const batch = f.let(unit.divU(p.tilesPerBatch))
        const inBatch = f.let(unit.remU(p.tilesPerBatch))
        const row = f.let(inBatch.divU(p.tilesN).mul(TILE_ROWS))
        const column = f.let(inBatch.remU(p.tilesN).mul(p.tileColumns))
        const rows = f.let(p.m.sub(row).minS(I32.const(TILE_ROWS)))
        const columns = f.let(p.tileColumns.minS(p.n.sub(column)))
        const c = f.let(
          isStored ? p.c.at(batch, p.batchStrideC).at(row, p.cStride).at(column, 4) : local.add(TILE_SCRATCH),
        )
        const cStride = f.let(isStored ? p.cStride : Address.const(EPILOGUE_COLUMNS * 4))
        f.call(
          tile,
          p.a.at(batch, p.batchStrideA),
          p.b.at(batch, p.batchStrideB),
          panelsA,
          panelsB,
          row.divU(PANEL_A),
          column.divU(width),
          rows,
          columns,
          p.k,
          p.kBlock,
          c,
          cStride,
          p.bias.select<Address>(p.bias.at(column, 4), Address.const(0)),
          local,
        )
        if (finish) {
          const inResult = p.firstRow.add(batch.mul(p.rowsPerBatch)).add(row)
          f.call(finish, args, c, cStride, inResult, p.firstColumn.add(column), rows, columns)
        }
      })
    },
  )
  return module
}

/** Ranges of at most `size` that cover 0 to `total`. */
function* blocks(total: number, size: number): Generator<{ first: number; count: number }> {
  for (let first = 0; first < total; first += size) yield { first, count: Math.min(size, total - first) }
}

const isBroadcast = (p: MatmulProblem) => p.b.strides.slice(0, -2).every((stride) => stride === 0)

/** As many rows of packed panels as fit the limit: all, or a multiple of `multiple`. */
function atATime(rows: number, rowBytes: number, multiple: number): number {
  const fitting = Math.max(1, Math.floor(LARGEST_PACKED / rowBytes / multiple)) * multiple
  return Math.min(rows, fitting)
}

export function lowerPacked(p: MatmulProblem, ctx: LowerContext, epilogue?: Epilogue): Dispatch[] {
  const { features } = ctx
  const width = panelWidth(features)
  const rowBytes = Math.max(1, p.k) * 4
  const rowsAtATime = atATime(p.m, rowBytes, TILE_ROWS)
  const columnsAtATime = atATime(p.n, rowBytes, 4 * TILE_COLUMNS)
  const packedA = ceilDiv(rowsAtATime, PANEL_A) * PANEL_A * rowBytes
  const packedB = ceilDiv(columnsAtATime, width) * width * rowBytes
  const sharedB = isBroadcast(p)
  const batchesAtATime = Math.min(
    p.batches,
    Math.max(1, Math.floor(LARGEST_PACKED / Math.max(packedA, packedB))),
  )
  const scratchA = ctx.scratch(packedA * batchesAtATime)
  const scratchB = ctx.scratch(packedB * (sharedB ? 1 : batchesAtATime))

  const dispatches: Dispatch[] = []
  for (const batch of blocks(p.batches, batchesAtATime)) {
    for (const rows of blocks(p.m, rowsAtATime)) {
      const range = { firstBatch: batch.first, batches: batch.count }
      const ofA = { operand: 'a', first: rows.first, rows: rows.count, to: scratch(scratchA) } as const
      dispatches.push(packDispatch(p, features, { ...range, ...ofA }))
      for (const columns of blocks(p.n, columnsAtATime)) {
        const rangeB = sharedB ? { firstBatch: 0, batches: 1 } : range
        const ofB = {
          operand: 'b',
          first: columns.first,
          rows: columns.count,
          to: scratch(scratchB),
        } as const
        dispatches.push(packDispatch(p, features, { ...rangeB, ...ofB }))
        const from = { a: scratch(scratchA), b: scratch(scratchB), sharedB }
        dispatches.push(tilesDispatch(p, ctx, { batch, rows, columns }, from, epilogue))
      }
    }
  }
  return dispatches
}

interface Range {
  readonly first: number
  readonly count: number
}

interface Part {
  readonly batch: Range
  readonly rows: Range
  readonly columns: Range
}

function tilesDispatch(
  p: MatmulProblem,
  { features }: LowerContext,
  { batch, rows, columns }: Part,
  from: { a: ArgWord; b: ArgWord; sharedB: boolean },
  epilogue: Epilogue | undefined,
): Dispatch {
  const width = panelWidth(features)
  const tilesM = ceilDiv(rows.count, TILE_ROWS)
  // few rows: narrower tiles, so that there are units for every thread
  const wanted = Math.floor((columns.count * tilesM * batch.count) / 16 / width) * width
  const tileColumns = Math.min(epilogue ? EPILOGUE_COLUMNS : TILE_COLUMNS, Math.max(16, wanted))
  const tilesN = ceilDiv(columns.count, tileColumns)
  const cAt = (batch.first * p.m * p.n + rows.first * p.n + columns.first) * 4
  const words = tileBlock.words({
    a: from.a,
    b: from.b,
    c: shifted(operandAddress(p.c), cAt),
    bias: p.bias ? shifted(operandAddress(p.bias), columns.first * 4) : 0,
    m: rows.count,
    n: columns.count,
    k: p.k,
    kBlock: kBlockOf(p.k),
    cStride: p.n * 4,
    batchStrideA: ceilDiv(rows.count, PANEL_A) * PANEL_A * p.k * 4,
    batchStrideB: from.sharedB ? 0 : ceilDiv(columns.count, width) * width * p.k * 4,
    batchStrideC: p.m * p.n * 4,
    tilesN,
    tilesPerBatch: tilesM * tilesN,
    tileColumns,
    firstRow: batch.first * p.m + rows.first,
    firstColumn: columns.first,
    rowsPerBatch: p.m,
  })
  const code = epilogueCode(epilogue, p.c.buffer, words, features)
  const elements = batch.count * rows.count * columns.count
  return {
    codeKey: `matmul.tiles${width}.${features.relaxedSimd}${code.key}`,
    wide: features.wideSimd,
    emit: () => emitTiles(features, code),
    args: code.words,
    units: batch.count * tilesM * tilesN,
    grain: 1,
    cost: elements * ((2 * p.k) / 50 + code.elementCost),
    localBytes: TILE_SCRATCH + (code.keepsProduct ? 0 : TILE_BYTES),
  }
}
