/**
 * The two products of blocked attention. One side's tokens lie across the lanes, eight at a time (a "panel", [D][8]); the
 * other side's rows are read where they are, element by element, so that they need no packing:
 *
 * - `scores`: s[r, lane] = sum over d of row[r, d] panel[d, lane];
 * - `accumulate`: sums[d, lane] += sum over r of row[r, d] weights[r, lane].
 */
import {
  Address,
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  type ModuleBuilder,
} from '../assembler.ts'
import { transpose4 } from './elements.ts'

export const LANES = 8
/** Bytes of one row of a block: a float for each lane. */
export const ROW_BYTES = LANES * 4
/**
 * Rows of a tile of scores, and columns of sums that grow together. With 128-bit vectors 6 x 8 sums fill 12 of the 16
 * registers; with 256-bit ones it takes 8 sums to hide the latency of the multiply-add.
 */
const TILE = { narrow: { rows: 6, columns: 4 }, wide: { rows: 8, columns: 8 } } as const
/** Rows of a tile of scores at most: so many rows less one may be written beyond the last. */
export const SCORES_ROWS = TILE.wide.rows
export const SCORES_MARGIN = (SCORES_ROWS - 1) * ROW_BYTES

export interface AttentionTiles {
  readonly scores: FunctionHandle
  readonly accumulate: FunctionHandle
}

/** `scores(rows, rowStride, count, depth, panel, to, toStride)`, strides in bytes, for any number of rows. */
export function emitScores(module: ModuleBuilder, wide: boolean): FunctionHandle {
  const tileRows = TILE[wide ? 'wide' : 'narrow'].rows
  const parameters = {
    rows: Address,
    rowStride: Address,
    count: I32,
    depth: I32,
    panel: Address,
    to: Address,
    toStride: Address,
  }
  return module.function(null, parameters, (f, { rows, rowStride, count, depth, panel, to, toStride }) => {
    f.for(0, count, tileRows, (done) => {
      const left = f.let(count.sub(done))
      const row = [f.let<Address>(rows)]
      // rows that do not exist repeat the last one
      for (let r = 1; r < tileRows; r++)
        row.push(f.let(left.gtS(r).select<Address>(row[r - 1].add(rowStride), row[r - 1])))
      rows.set(row[tileRows - 1].add(rowStride))
      const sums = Array.from({ length: 2 * tileRows }, () => f.let(F32x4.const(0)))
      const at = f.let<Address>(panel)
      const step = (i: number) => {
        const low = f.let(at.loadF32x4(i * ROW_BYTES))
        const high = f.let(at.loadF32x4(i * ROW_BYTES + 16))
        row.forEach((pointer, r) => {
          const x = f.let(pointer.loadSplatF32(i * 4))
          sums[2 * r].set(f.madd(x, low, sums[2 * r]))
          sums[2 * r + 1].set(f.madd(x, high, sums[2 * r + 1]))
        })
      }
      const advance = (steps: number) => {
        at.set(at.add(steps * ROW_BYTES))
        for (const pointer of row) pointer.set(pointer.add(steps * 4))
      }
      const d = f.let(I32.const(0))
      f.forFrom(d, depth.sub(3), 4, () => {
        for (let i = 0; i < 4; i++) step(i)
        advance(4)
      })
      f.forFrom(d, depth, 1, () => {
        step(0)
        advance(1)
      })
      for (let r = 0; r < tileRows; r++) {
        f.storeVector(to, sums[2 * r])
        f.storeVector(to, sums[2 * r + 1], 16)
        to.set(to.add(toStride))
      }
    })
  })
}

/** Adds to so many rows of sums at a time. */
function accumulateColumns(
  f: FunctionBuilder,
  columns: number,
  at: { rows: Address; rowStride: Address; count: I32; weights: Address; sums: Address },
): void {
  const totals = Array.from({ length: 2 * columns }, (_, i) => f.let(at.sums.loadF32x4(i * 16)))
  const row = f.let<Address>(at.rows)
  const weights = f.let<Address>(at.weights)
  f.for(0, at.count, 1, () => {
    const low = f.let(weights.loadF32x4(0))
    const high = f.let(weights.loadF32x4(16))
    for (let d = 0; d < columns; d++) {
      const x = f.let(row.loadSplatF32(d * 4))
      totals[2 * d].set(f.madd(x, low, totals[2 * d]))
      totals[2 * d + 1].set(f.madd(x, high, totals[2 * d + 1]))
    }
    row.set(row.add(at.rowStride))
    weights.set(weights.add(ROW_BYTES))
  })
  totals.forEach((total, i) => {
    f.storeVector(at.sums, total, i * 16)
  })
}

/** `accumulate(rows, rowStride, count, depth, weights, sums)`. */
function emitAccumulate(module: ModuleBuilder, widest: number): FunctionHandle {
  const parameters = {
    rows: Address,
    rowStride: Address,
    count: I32,
    depth: I32,
    weights: Address,
    sums: Address,
  }
  return module.function(null, parameters, (f, { rows, rowStride, count, depth, weights, sums }) => {
    const d = f.let(I32.const(0))
    for (const columns of [widest, 1])
      f.forFrom(d, depth.sub(columns - 1), columns, () => {
        accumulateColumns(f, columns, { rows, rowStride, count, weights, sums })
        rows.set(rows.add(columns * 4))
        sums.set(sums.add(columns * ROW_BYTES))
      })
  })
}

export function emitAttentionTiles(module: ModuleBuilder, wide: boolean): AttentionTiles {
  const { columns } = TILE[wide ? 'wide' : 'narrow']
  return { scores: emitScores(module, wide), accumulate: emitAccumulate(module, columns) }
}

/** `store(sums, depth, to, rowStride, count)`: the first `count` lanes of [D][8], each as a row of D. */
export function emitStoreLanes(module: ModuleBuilder): FunctionHandle {
  const parameters = { sums: Address, depth: I32, to: Address, rowStride: Address, count: I32 }
  return module.function(null, parameters, (f, { sums, depth, to, rowStride, count }) => {
    // lanes beyond the count go to the last row; they are stored before the lane that belongs there
    const rows = [f.let<Address>(to)]
    for (let lane = 1; lane < LANES; lane++)
      rows.push(f.let(count.gtS(lane).select<Address>(rows[lane - 1].add(rowStride), rows[lane - 1])))
    const advance = (columns: number) => {
      for (const row of rows) row.set(row.add(4 * columns))
      sums.set(sums.add(columns * ROW_BYTES))
    }
    const d = f.let(I32.const(0))
    f.forFrom(d, depth.sub(3), 4, () => {
      for (const half of [1, 0]) {
        const at = (i: number) => sums.loadF32x4(i * ROW_BYTES + 16 * half)
        const lanes = transpose4(f, [at(0), at(1), at(2), at(3)])
        for (let lane = 3; lane >= 0; lane--) f.storeVector(rows[4 * half + lane], lanes[lane])
      }
      advance(4)
    })
    f.forFrom(d, depth, 1, () => {
      for (let lane = LANES - 1; lane >= 0; lane--) f.storeF32(rows[lane], sums.loadF32(4 * lane))
      advance(1)
    })
  })
}
