import { Address, F32x4, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { PANEL_A, type PanelWidth } from './matmul-pack.ts'

const UNROLL = 4

/**
 * `micro(a, b, k, from, fromStride, to, toStride)`: a tile of 6 rows and `width` columns, to = from + a^T b, with a [k][6]
 * and b [k][width] packed; strides of `from` and `to` in bytes. The sums stay in registers: with 128-bit vectors 12 at
 * width 8, with 256-bit ones 12 at width 16 (fewer could not hide the latency of the multiply-add). The sum over k is one
 * chain of fused multiply-adds per element, so both widths give the same bits.
 */
export function emitMicroKernel(module: ModuleBuilder, width: PanelWidth): FunctionHandle {
  const parameters = {
    a: Address,
    b: Address,
    k: I32,
    from: Address,
    fromStride: Address,
    to: Address,
    toStride: Address,
  }
  const vectors = width / 4
  return module.function(null, parameters, (f, { a, b, k, from, fromStride, to, toStride }) => {
    const sums = Array.from({ length: PANEL_A }, () => f.locals(F32x4, vectors))
    const ofB = f.locals(F32x4, vectors)
    const x = f.local(F32x4)
    for (const [r, row] of sums.entries()) {
      for (const [v, sum] of row.entries()) sum.set(from.loadF32x4(16 * v))
      if (r < PANEL_A - 1) from.set(from.add(fromStride))
    }
    const step = (i: number) => {
      for (const [v, four] of ofB.entries()) four.set(b.loadF32x4(i * width * 4 + 16 * v))
      for (const [r, row] of sums.entries()) {
        x.set(a.loadSplatF32((i * PANEL_A + r) * 4))
        for (const [v, sum] of row.entries()) sum.set(f.madd(x, ofB[v], sum))
      }
    }
    const advance = (steps: number) => {
      a.set(a.add(steps * PANEL_A * 4))
      b.set(b.add(steps * width * 4))
    }
    const done = f.let(I32.const(0))
    f.forFrom(done, k.sub(UNROLL - 1), UNROLL, () => {
      for (let i = 0; i < UNROLL; i++) step(i)
      advance(UNROLL)
    })
    f.forFrom(done, k, 1, () => {
      step(0)
      advance(1)
    })
    for (const [r, row] of sums.entries()) {
      for (const [v, sum] of row.entries()) f.storeVector(to, sum, 16 * v)
      if (r < PANEL_A - 1) to.set(to.add(toStride))
    }
  })
}
