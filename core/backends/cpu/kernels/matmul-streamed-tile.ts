/** The parts of a product whose b is read where it is: the tile and its transposed store. */
import { dtypeInfo } from '../../../dtype.ts'
import { Address, F32x4, type FunctionHandle, I32, I32x4, type ModuleBuilder } from '../assembler.ts'

/** Rows of a up to which packing all of b for them does not pay. */
export const MOST_STREAMED_ROWS = 128

/** What the code depends on. */
export interface StreamedCode {
  readonly dtype: 'float32' | 'bfloat16'
  /** At most 8 rows of a: tall, narrow tiles. */
  readonly isFew: boolean
  readonly relaxedSimd: boolean
  readonly wideSimd: boolean
  readonly bias: boolean
}

/** Rows of b and rows of a in a tile: 10 or 12 registers of sums, with 256-bit vectors or 128-bit ones. */
export function tileOf({ dtype, isFew, wideSimd }: StreamedCode): { height: number; width: number } {
  if (isFew) return { height: 12, width: wideSimd ? 8 : 4 }
  // a register for the mask of bfloat16
  return { height: dtype === 'float32' ? 6 : 5, width: wideSimd ? 16 : 8 }
}

export interface RowsTile {
  readonly dtype: StreamedCode['dtype']
  readonly height: number
  /** Columns of a packed panel, and how many of them are used. */
  readonly panel: number
  readonly width: number
  /** An element for every row, for every column, or none. */
  readonly bias: 'rows' | 'columns' | null
}

/**
 * `tile(w, wStride, x, k, bias, biasStride, to, toStride)`: to [height][width] = bias + w x, with rows of K elements at `w`, read
 * an element at a time into all lanes, and x packed [k][panel]. One chain of additions per element.
 */
export function emitRowsTile(module: ModuleBuilder, tile: RowsTile): FunctionHandle {
  const { dtype, height, panel, width } = tile
  const bytes = dtypeInfo(dtype).deviceBytes
  const vectors = width / 4
  const unroll = height > 6 ? 2 : 1
  const parameters = {
    w: Address,
    wStride: Address,
    x: Address,
    k: I32,
    bias: Address,
    biasStride: Address,
    to: Address,
    toStride: Address,
  }
  return module.function(null, parameters, (f, { w, wStride, x, k, bias, biasStride, to, toStride }) => {
    const sums = Array.from({ length: height }, () => f.locals(F32x4, vectors))
    for (const row of sums) {
      for (const [v, sum] of row.entries())
        sum.set(
          tile.bias === 'rows'
            ? bias.loadSplatF32()
            : tile.bias === 'columns'
              ? bias.loadF32x4(16 * v)
              : F32x4.const(0),
        )
      if (tile.bias === 'rows') bias.set(bias.add(biasStride))
    }
    const ofX = Array.from({ length: unroll }, () => f.locals(F32x4, vectors))
    const one = f.local(F32x4)
    const row = f.local(Address)
    // the upper halves of words; a variable, since V8 builds a constant anew wherever it is written
    const upper = dtype === 'bfloat16' ? f.let(I32x4.const(-65536)) : null
    // an element of bfloat16 is the upper half of the word that starts two bytes before it
    if (upper) w.set(w.sub(2))
    const load = (i: number) =>
      upper
        ? row
            .loadSplatI32(i * bytes)
            .and(upper)
            .bitsToF32x4()
        : row.loadSplatF32(i * bytes)
    const steps = (count: number) => {
      for (let i = 0; i < count; i++)
        for (const [v, four] of ofX[i].entries()) four.set(x.loadF32x4((i * panel + 4 * v) * 4))
      for (const [r, sum] of sums.entries()) {
        // from row to row by addition: as many pointers would not fit the registers
        row.set(r === 0 ? w : row.add(wStride))
        for (let i = 0; i < count; i++) {
          one.set(load(i))
          for (const [v, four] of sum.entries()) four.set(f.madd(one, ofX[i][v], four))
        }
      }
      w.set(w.add(count * bytes))
      x.set(x.add(4 * count * panel))
    }
    const done = f.let(I32.const(0))
    f.forFrom(done, k.sub(unroll - 1), unroll, () => steps(unroll))
    if (unroll > 1) f.forFrom(done, k, 1, () => steps(1))
    for (const [r, sum] of sums.entries()) {
      for (const [v, four] of sum.entries()) f.storeVector(to, four, 16 * v)
      if (r < height - 1) to.set(to.add(toStride))
    }
  })
}

/** `scatter(sums, y, yStride, columnStride, rows, first)`: y[t][column r] = sums[r][t] for t below `rows` and r from `first` on. */
export function emitScatter(module: ModuleBuilder, code: StreamedCode): FunctionHandle {
  const { height, width } = tileOf(code)
  const parameters = {
    sums: Address,
    y: Address,
    yStride: Address,
    columnStride: Address,
    rows: I32,
    first: I32,
  }
  return module.function(null, parameters, (f, { sums, y, yStride, columnStride, rows, first }) => {
    const to = f.local(Address)
    const from = f.local(Address)
    f.for(0, rows, 1, () => {
      f.if(
        first.eqz(),
        () => {
          for (let r = 0; r < height; r++) {
            to.set(r === 0 ? y : to.add(columnStride))
            f.storeF32(to, sums.loadF32(r * width * 4))
          }
        },
        () => {
          to.set(y.at(first, columnStride))
          from.set(sums.at(first, width * 4))
          f.for(first, height, 1, () => {
            f.storeF32(to, from.loadF32())
            to.set(to.add(columnStride))
            from.set(from.add(width * 4))
          })
        },
      )
      sums.set(sums.add(4))
      y.set(y.add(yStride))
    })
  })
}
