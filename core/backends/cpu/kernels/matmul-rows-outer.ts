import { dtypeInfo } from '../../../dtype.ts'
import { type FunctionBuilder, I32, ModuleBuilder } from '../assembler.ts'
import { loadFour, loadOne } from './elements.ts'
import {
  type FewRowsCode,
  type FewRowsParameters,
  fewRowsAddresses,
  fewRowsBlock,
  OUTER_COLUMNS,
} from './matmul-rows-arguments.ts'

/** Rows of b that are added at once: as many streams as the processor's prefetcher follows. */
const STREAMS = 8

/** Adds x[r, k..k+streams] times the rows k.. of w (at `w`, `count` columns) to every row r of the sums. */
function addRows(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  streams: number,
  at: { x: I32; w: I32; sums: I32; count: I32 },
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
      return f.let<I32>(row)
    })
    const sum = f.let(at.sums.add(r * OUTER_COLUMNS * 4))
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

/** b contiguous along N. Unit: 128 columns of the result of one batch. */
export function emitWeightedRows(code: FewRowsCode): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(code)
  module.function(
    'run',
    { args: I32, start: I32, end: I32, local: I32 },
    (f, { args, start, end, local }) => {
      const p = fewRowsBlock.read(f, args)
      f.for(start, end, 1, (unit) => {
        const batch = f.let(unit.divU(p.blocks))
        const { x, w, y } = fewRowsAddresses(f, p, batch)
        const first = f.let(unit.remU(p.blocks).mul(OUTER_COLUMNS))
        const count = f.let(p.columns.sub(first).minS(I32.const(OUTER_COLUMNS)))
        w.set(w.add(first.mul(p.wColumnStride)))
        f.memoryFill(local, 0, code.rows * OUTER_COLUMNS * 4)
        const k = f.let(I32.const(0))
        const at = { x, w, sums: local, count }
        const step = (streams: number) => () => {
          addRows(f, code, p, streams, at)
          x.set(x.add(p.xStride.mul(streams)))
          w.set(w.add(p.wStride.mul(streams)))
        }
        f.forFrom(k, p.k.sub(STREAMS - 1), STREAMS, step(STREAMS))
        f.forFrom(k, p.k, 1, step(1))
        for (let r = 0; r < code.rows; r++)
          f.for(0, count, 1, (c) => {
            const column = first.add(c)
            const sum = local.add(c.shl(2)).loadF32(r * OUTER_COLUMNS * 4)
            const bias = p.bias.add(p.biasRowStride.mul(r)).add(p.biasColumnStride.mul(column)).loadF32()
            f.storeF32(
              y.add(p.yRowStride.mul(r)).add(p.yColumnStride.mul(column)),
              code.bias ? sum.add(bias) : sum,
            )
          })
      })
    },
  )
  return module.bytes()
}
