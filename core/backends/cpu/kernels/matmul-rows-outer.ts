import { dtypeInfo } from '../../../dtype.ts'
import { Address, F32, type FunctionBuilder, I32, ModuleBuilder } from '../assembler.ts'
import { loadFour, loadOne } from './elements.ts'
import {
  type FewRowsCode,
  type FewRowsParameters,
  fewRowsAddresses,
  fewRowsBlock,
} from './matmul-rows-arguments.ts'

/** Rows of b that are added at once, so that the sums are loaded and stored less often. */
const STREAMS = 4
/** At most so many columns of the result in a unit: their sums stay in the first-level cache. */
const LARGEST_COLUMNS = 2048
/** Columns of the result that a unit of the second dispatch adds up. */
const SUM_COLUMNS = 256

/**
 * How the work is cut, by shape alone: along N only where it is long, otherwise along K, so that a unit reads b in long runs,
 * and has few enough columns for its sums.
 */
export function partsOf(columns: number, k: number): { blocks: number; parts: number; kPart: number } {
  const blocks = Math.max(1, Math.ceil(columns / LARGEST_COLUMNS))
  const wanted = Math.max(1, Math.min(Math.ceil(16 / blocks), Math.floor(k / 32)))
  const kPart = Math.max(STREAMS, Math.ceil(k / wanted / STREAMS) * STREAMS)
  return { blocks, parts: Math.max(1, Math.ceil(k / kPart)), kPart }
}

/** Adds x[r, k..k+streams] times the rows k.. of w (at `w`, `count` columns) to every row r of the sums. */
function addRows(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  streams: number,
  at: { x: Address; w: Address; sums: Address; count: I32 },
): void {
  const bytes = dtypeInfo(code.dtype).deviceBytes
  for (let r = 0; r < code.rows; r++) {
    const x = f.let(at.x.add(p.xRowStride.mul(r)))
    const factors = Array.from({ length: streams }, () => {
      const factor = f.let(x.loadF32())
      x.set(x.add(p.xStride))
      return factor
    })
    const splats = factors.map((factor) => f.let(factor.splat()))
    const row = f.let(at.w)
    const rows = Array.from({ length: streams }, (_, s) => {
      if (s > 0) row.set(row.add(p.wStride))
      return f.let<Address>(row)
    })
    const sum = f.let(at.sums.at(p.columns, 4 * r))
    const advance = (columns: number) => {
      for (const pointer of rows) pointer.set(pointer.add(columns * bytes))
      sum.set(sum.add(columns * 4))
    }
    const column = f.let(I32.const(0))
    f.forFrom(column, at.count.sub(7), 8, () => {
      const low = f.let(sum.loadF32x4(0))
      const high = f.let(sum.loadF32x4(16))
      rows.forEach((pointer, s) => {
        low.set(f.madd(splats[s], loadFour(f, code.dtype, pointer, 0), low))
        high.set(f.madd(splats[s], loadFour(f, code.dtype, pointer, 4 * bytes), high))
      })
      f.storeVector(sum, low, 0)
      f.storeVector(sum, high, 16)
      advance(8)
    })
    f.forFrom(column, at.count, 1, () => {
      const total = f.let(sum.loadF32())
      rows.forEach((pointer, s) => {
        total.set(total.add(factors[s].mul(loadOne(f, code.dtype, pointer))))
      })
      f.storeF32(sum, total)
      advance(1)
    })
  }
}

/** Unit: partial sums over a part of K for a block of columns of one batch. */
export function emitWeightedRows(code: FewRowsCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = fewRowsBlock.read(f, args)
    f.for(start, end, 1, (unit) => {
      const first = f.let(unit.remU(p.blocks).mul(LARGEST_COLUMNS))
      const count = f.let(p.columns.sub(first).minS(I32.const(LARGEST_COLUMNS)))
      const partial = f.let(unit.divU(p.blocks))
      const { x, w } = fewRowsAddresses(f, p, f.let(partial.divU(p.parts)))
      const k = f.let(partial.remU(p.parts).mul(p.kPart))
      const end = f.let(k.add(p.kPart).minS(p.k))
      x.set(x.at(k, p.xStride))
      w.set(w.at(k, p.wStride).at(first, p.wColumnStride))
      const sums = f.let(p.partial.at(partial.mul(code.rows).mul(p.columns).add(first), 4))
      for (let r = 0; r < code.rows; r++) f.memoryFill(sums.at(p.columns, 4 * r), 0, count.shl(2))
      const step = (streams: number) => () => {
        addRows(f, code, p, streams, { x, w, sums, count })
        x.set(x.add(p.xStride.mul(streams)))
        w.set(w.add(p.wStride.mul(streams)))
      }
      f.forFrom(k, end.sub(STREAMS - 1), STREAMS, step(STREAMS))
      f.forFrom(k, end, 1, step(1))
    })
  })
  return module
}

export const partialSumUnits = (columns: number): number => Math.ceil(columns / SUM_COLUMNS)

/** Unit: the total of a piece of one row of the result of one batch, parts in order. */
export function emitPartialSums(code: FewRowsCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = fewRowsBlock.read(f, args)
    const pieces = f.let(p.columns.add(SUM_COLUMNS - 1).divU(SUM_COLUMNS))
    const partBytes = f.let(Address.of(p.columns.mul(code.rows)).shl(2))
    f.for(start, end, 1, (unit) => {
      const batchRow = f.let(unit.divU(pieces))
      const batch = f.let(batchRow.divU(code.rows))
      const row = f.let(batchRow.remU(code.rows))
      const column = f.let(unit.remU(pieces).mul(SUM_COLUMNS))
      const last = f.let(column.add(SUM_COLUMNS).minS(p.columns))
      const from = f.let(p.partial.at(batch.mul(p.parts), partBytes).at(row.mul(p.columns).add(column), 4))
      const to = f.let(p.y.at(batch, p.yBatchStride).at(row, p.yRowStride).at(column, p.yColumnStride))
      const bias = f.let(p.bias.at(row, p.biasRowStride).at(column, p.biasColumnStride))
      f.forFrom(column, last, 1, () => {
        const total = f.let(code.bias ? bias.loadF32() : F32.const(0))
        const part = f.let(from)
        f.for(0, p.parts, 1, () => {
          total.set(total.add(part.loadF32()))
          part.set(part.add(partBytes))
        })
        f.storeF32(to, total)
        from.set(from.add(4))
        to.set(to.add(p.yColumnStride))
        bias.set(bias.add(p.biasColumnStride))
      })
    })
  })
  return module
}
