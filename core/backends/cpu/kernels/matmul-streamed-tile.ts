/** The parts of a product whose b is read where it is: the tile, its transposed store, the widening of 16-bit rows. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { Address, F32x4, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { loadFour, loadOne } from './elements.ts'

/** What the code depends on. */
export interface StreamedCode {
  readonly dtype: DType
  /** At most 8 rows of a: tall, narrow tiles. */
  readonly isFew: boolean
  readonly relaxedSimd: boolean
  readonly wideSimd: boolean
  readonly bias: boolean
}

/** Rows of b and rows of a in a tile: 12 registers of sums, with 256-bit vectors or 128-bit ones. */
export const tileOf = ({ isFew, wideSimd }: StreamedCode): { height: number; width: number } =>
  isFew ? { height: 12, width: wideSimd ? 8 : 4 } : { height: 6, width: wideSimd ? 16 : 8 }

/**
 * `tile(w, wStride, x, k, bias, biasStride, sums)`: sums [height][width] = bias + w x, with rows of float32 at `w`, and x packed
 * [k][width of the code's tile], of which the first `width` are used. One chain of additions per element.
 */
export function emitStreamedTile(module: ModuleBuilder, code: StreamedCode, width: number): FunctionHandle {
  const { height, width: panel } = tileOf(code)
  const vectors = width / 4
  const unroll = code.isFew ? 2 : 1
  const parameters = {
    w: Address,
    wStride: Address,
    x: Address,
    k: I32,
    bias: Address,
    biasStride: Address,
    to: Address,
  }
  return module.function(null, parameters, (f, { w, wStride, x, k, bias, biasStride, to }) => {
    const sums = Array.from({ length: height }, () => f.locals(F32x4, vectors))
    for (const row of sums) {
      for (const sum of row) sum.set(code.bias ? bias.loadSplatF32() : F32x4.const(0))
      if (code.bias) bias.set(bias.add(biasStride))
    }
    const ofX = Array.from({ length: unroll }, () => f.locals(F32x4, vectors))
    const one = f.local(F32x4)
    const row = f.local(Address)
    const steps = (count: number) => {
      for (let i = 0; i < count; i++)
        for (const [v, four] of ofX[i].entries()) four.set(x.loadF32x4((i * panel + 4 * v) * 4))
      for (const [r, sum] of sums.entries()) {
        // from row to row by addition: as many pointers would not fit the registers
        row.set(r === 0 ? w : row.add(wStride))
        for (let i = 0; i < count; i++) {
          one.set(row.loadSplatF32(4 * i))
          for (const [v, four] of sum.entries()) four.set(f.madd(one, ofX[i][v], four))
        }
      }
      w.set(w.add(4 * count))
      x.set(x.add(4 * count * panel))
    }
    const done = f.let(I32.const(0))
    f.forFrom(done, k.sub(unroll - 1), unroll, () => steps(unroll))
    if (unroll > 1) f.forFrom(done, k, 1, () => steps(1))
    for (const [r, sum] of sums.entries())
      for (const [v, four] of sum.entries()) f.storeVector(to, four, (r * panel + 4 * v) * 4)
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

/** Bytes from row to row of widened rows: not a power of two apart. */
export const widenedStride = (k: I32): Address => Address.of(k).shl(2).add(64)

/** `widen(to, from, fromStride, k)`: all rows of a tile side by side, so that memory is read in as many streams. */
export function emitWidenRows(module: ModuleBuilder, code: StreamedCode): FunctionHandle {
  const { dtype } = code
  const { height } = tileOf(code)
  const bytes = dtypeInfo(dtype).deviceBytes
  const parameters = { to: Address, from: Address, fromStride: Address, k: I32 }
  return module.function(null, parameters, (f, { to, from, fromStride, k }) => {
    const toStride = f.let(widenedStride(k))
    const source = f.local(Address)
    const target = f.local(Address)
    const rows = (step: number, copy: () => void) => {
      for (let r = 0; r < height; r++) {
        source.set(r === 0 ? from : source.add(fromStride))
        target.set(r === 0 ? to : target.add(toStride))
        copy()
      }
      from.set(from.add(step * bytes))
      to.set(to.add(step * 4))
    }
    const done = f.let(I32.const(0))
    f.forFrom(done, k.sub(7), 8, () =>
      rows(8, () => {
        const [low, high] = [0, 4].map((i) => f.let(loadFour(f, dtype, source, i * bytes)))
        f.storeVector(target, low)
        f.storeVector(target, high, 16)
      }),
    )
    f.forFrom(done, k, 1, () => rows(1, () => f.storeF32(target, loadOne(f, dtype, source))))
  })
}
