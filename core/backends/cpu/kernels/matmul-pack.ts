/**
 * Packing for the matrix product: a panel is `width` rows (of a, or columns of b) of a strided matrix, stored as
 * [K][width] in float32, so that the micro-kernel reads it front to back.
 */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import {
  Address,
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  type ModuleBuilder,
} from '../assembler.ts'
import type { CpuFeatures } from '../dispatch.ts'
import { loadFour, loadOne, transpose4 } from './elements.ts'

/** Rows of a panel of a. */
export const PANEL_A = 6

/** Columns of a panel of b: with either, a tile of the result fills 12 of the 16 vector registers. */
export type PanelWidth = 8 | 16
export const panelWidth = (features: CpuFeatures): PanelWidth => (features.wideSimd ? 16 : 8)

/** Stores the `width` values of one k, four in a vector; of a panel of a the last vector holds two. */
function storeColumn(
  f: FunctionBuilder,
  width: number,
  to: Address,
  offset: number,
  vectors: readonly F32x4[],
) {
  for (const [v, vector] of vectors.entries())
    if (4 * v + 4 <= width) f.storeVector(to, vector, offset + 16 * v)
    else f.storeHalf(to, vector, 0, offset + 16 * v)
}

/** Copies `width` contiguous elements. */
function copyColumn(f: FunctionBuilder, width: number, dtype: DType, from: Address, to: Address): void {
  const bytes = dtypeInfo(dtype).deviceBytes
  /** The last two of a panel of a. */
  const two = () =>
    dtype === 'float32'
      ? from.load64Zero(16).bitsToF32x4()
      : F32x4.const(0)
          .withLane(0, loadOne(f, dtype, from, 4 * bytes))
          .withLane(1, loadOne(f, dtype, from, 5 * bytes))
  const vectors = Array.from({ length: Math.ceil(width / 4) }, (_, v) =>
    f.let(4 * v + 4 <= width ? loadFour(f, dtype, from, 4 * v * bytes) : two()),
  )
  storeColumn(f, width, to, 0, vectors)
}

/**
 * `pack(to, from, rowStride, kStride, rows, k)`, strides in bytes. Rows at and beyond `rows` (1 to width) repeat the last
 * one: what the micro-kernel makes of them is thrown away.
 */
export function emitPackPanel(module: ModuleBuilder, width: number, dtype: DType): FunctionHandle {
  const bytes = dtypeInfo(dtype).deviceBytes
  const parameters = {
    to: Address,
    from: Address,
    rowStride: Address,
    kStride: Address,
    rows: I32,
    k: I32,
  }
  return module.function(null, parameters, (f, p) => {
    const { to, rowStride, kStride } = p
    const k = f.let(I32.const(0))
    const row = f.locals(Address, width)

    const setRowPointers = () => {
      row[0].set(p.from)
      for (let r = 1; r < width; r++)
        row[r].set(p.rows.gtS(r).select<Address>(row[r - 1].add(rowStride), row[r - 1]))
    }

    const packMany = (steps: number) => {
      // contiguous along k: transposes of 4x4
      const zero = F32x4.const(0)
      f.forFrom(k, p.k.sub(4 * steps - 1), 4 * steps, () => {
        for (let first = 0; first < width; first += 4)
          for (let step = 0; step < steps; step++) {
            const four = [0, 1, 2, 3].map((i) =>
              first + i < width ? loadFour(f, dtype, row[first + i], 4 * step * bytes) : zero,
            ) as [F32x4, F32x4, F32x4, F32x4]
            for (const [i, vector] of transpose4(f, four).entries())
              storeColumn(f, Math.min(4, width - first), to, ((4 * step + i) * width + first) * 4, [vector])
          }
        to.set(to.add(4 * steps * width * 4))
        for (const pointer of row) pointer.set(pointer.add(4 * steps * bytes))
      })
    }

    const packOne = () =>
      f.forFrom(k, p.k, 1, () => {
        for (let r = 0; r < width; r++) f.storeF32(to, loadOne(f, dtype, row[r]), r * 4)
        to.set(to.add(width * 4))
        for (const pointer of row) pointer.set(pointer.add(kStride))
      })

    setRowPointers()
    f.if(kStride.eq(bytes), () => {
      packMany(4)
      packMany(1)
    })
    packOne()
  })
}

/**
 * `packRuns(to, toStride, from, kStride, panels, k)`: whole panels of a matrix whose rows (`width` to a panel) are contiguous
 * in memory, side by side, so that memory is read in longer runs; `toStride` from panel to panel, strides in bytes.
 */
export function emitPackRuns(module: ModuleBuilder, width: number, dtype: DType): FunctionHandle {
  const bytes = dtypeInfo(dtype).deviceBytes
  const parameters = {
    to: Address,
    toStride: Address,
    from: Address,
    kStride: Address,
    panels: I32,
    k: I32,
  }
  return module.function(null, parameters, (f, p) => {
    const from = f.local(Address)
    const to = f.local(Address)
    f.for(0, p.k, 1, () => {
      from.set(p.from)
      to.set(p.to)
      f.for(0, p.panels, 1, () => {
        copyColumn(f, width, dtype, from, to)
        from.set(from.add(width * bytes))
        to.set(to.add(p.toStride))
      })
      p.from.set(p.from.add(p.kStride))
      p.to.set(p.to.add(width * 4))
    })
  })
}
