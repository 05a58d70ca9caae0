/**
 * Packing for the matrix product: a panel is `width` rows (of a, or columns of b) of a strided matrix, stored as
 * [K][width] in float32, so that the micro-kernel reads it front to back.
 */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { F32x4, type FunctionBuilder, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { loadFour, loadOne, transpose4 } from './elements.ts'

/** Rows of a panel of a, columns of a panel of b: a 6x8 tile of the result fills 12 of the 16 vector registers. */
export const PANEL_A = 6
export const PANEL_B = 8

/** Stores the `width` values of one k; `high` is the upper part of a panel of b. */
function storeColumn(f: FunctionBuilder, width: number, to: I32, offset: number, low: F32x4, high: F32x4) {
  f.storeVector(to, low, offset)
  if (width === PANEL_A) f.storeHalf(to, high, 0, offset + 16)
  else f.storeVector(to, high, offset + 16)
}

/**
 * `pack(to, from, rowStride, kStride, rows, k)`, strides in bytes. Rows at and beyond `rows` (1 to width) repeat the last
 * one: what the micro-kernel makes of them is thrown away.
 */
export function emitPackPanel(module: ModuleBuilder, width: 6 | 8, dtype: DType): FunctionHandle {
  const bytes = dtypeInfo(dtype).deviceBytes
  const parameters = { to: I32, from: I32, rowStride: I32, kStride: I32, rows: I32, k: I32 }
  return module.function(null, parameters, (f, p) => {
    const { to, rowStride, kStride } = p
    const k = f.let(I32.const(0))
    const row = f.locals(I32, width)

    const packAlongRows = () => {
      // the row is contiguous in memory: a copy
      const from = f.let(p.from)
      f.forFrom(k, p.k, 1, () => {
        const low = f.let(loadFour(f, dtype, from))
        const high =
          width === PANEL_B
            ? loadFour(f, dtype, from, 4 * bytes)
            : dtype === 'float32'
              ? from.load64Zero(16).bitsToF32x4()
              : F32x4.const(0)
                  .withLane(0, loadOne(f, dtype, from, 4 * bytes))
                  .withLane(1, loadOne(f, dtype, from, 5 * bytes))
        storeColumn(f, width, to, 0, low, high)
        to.set(to.add(width * 4))
        from.set(from.add(kStride))
      })
    }

    const setRowPointers = () => {
      row[0].set(p.from)
      for (let r = 1; r < width; r++)
        row[r].set(p.rows.gtS(r).select<I32>(row[r - 1].add(rowStride), row[r - 1]))
    }

    const packFour = () => {
      // contiguous along k: transposes of 4x4
      f.forFrom(k, p.k.sub(3), 4, () => {
        const four = row.map((pointer) => loadFour(f, dtype, pointer))
        const low = transpose4(f, [four[0], four[1], four[2], four[3]])
        const zero = F32x4.const(0)
        const high = transpose4(f, [four[4], four[5], four[6] ?? zero, four[7] ?? zero])
        for (let i = 0; i < 4; i++) storeColumn(f, width, to, i * width * 4, low[i], high[i])
        to.set(to.add(4 * width * 4))
        for (const pointer of row) pointer.set(pointer.add(4 * bytes))
      })
    }

    const packOne = () =>
      f.forFrom(k, p.k, 1, () => {
        for (let r = 0; r < width; r++) f.storeF32(to, loadOne(f, dtype, row[r]), r * 4)
        to.set(to.add(width * 4))
        for (const pointer of row) pointer.set(pointer.add(kStride))
      })

    f.if(rowStride.eq(bytes).and(p.rows.eq(width)), packAlongRows, () => {
      setRowPointers()
      f.if(kStride.eq(bytes), packFour)
      packOne()
    })
  })
}
