import { F32x4, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { PANEL_A, PANEL_B } from './matmul-pack.ts'

const UNROLL = 4

/**
 * `micro(a, b, k, from, fromStride, to, toStride)`: a 6x8 tile, to = from + a^T b, with a [k][6] and b [k][8] packed;
 * strides of `from` and `to` in bytes. The 12 sums stay in registers; the sum over k is one chain of fused
 * multiply-adds per element.
 */
export function emitMicroKernel(module: ModuleBuilder): FunctionHandle {
  const parameters = { a: I32, b: I32, k: I32, from: I32, fromStride: I32, to: I32, toStride: I32 }
  return module.function(null, parameters, (f, { a, b, k, from, fromStride, to, toStride }) => {
    const sums = f.locals(F32x4, 2 * PANEL_A)
    const [b0, b1, x] = f.locals(F32x4, 3)
    for (let r = 0; r < PANEL_A; r++) {
      sums[2 * r].set(from.loadF32x4(0))
      sums[2 * r + 1].set(from.loadF32x4(16))
      if (r < PANEL_A - 1) from.set(from.add(fromStride))
    }
    const step = (i: number) => {
      b0.set(b.loadF32x4(i * PANEL_B * 4))
      b1.set(b.loadF32x4(i * PANEL_B * 4 + 16))
      for (let r = 0; r < PANEL_A; r++) {
        x.set(a.loadSplatF32((i * PANEL_A + r) * 4))
        sums[2 * r].set(f.madd(x, b0, sums[2 * r]))
        sums[2 * r + 1].set(f.madd(x, b1, sums[2 * r + 1]))
      }
    }
    const advance = (steps: number) => {
      a.set(a.add(steps * PANEL_A * 4))
      b.set(b.add(steps * PANEL_B * 4))
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
    for (let r = 0; r < PANEL_A; r++) {
      f.storeVector(to, sums[2 * r], 0)
      f.storeVector(to, sums[2 * r + 1], 16)
      if (r < PANEL_A - 1) to.set(to.add(toStride))
    }
  })
}
