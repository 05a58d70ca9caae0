/**
 * node bench/kernels/peak.ts: the limits of the matrix products on one thread: the micro-kernel's rate with all of its data
 * in the first-level cache, and how fast memory is read, by the number of streams that are read side by side.
 */
import { Address, F32x4, I32, ModuleBuilder } from '../../core/backends/cpu/assembler.ts'
import { detectFeatures } from '../../core/backends/cpu/features.ts'
import { emitMicroKernel } from '../../core/backends/cpu/kernels/matmul-microkernel.ts'
import { PANEL_A, type PanelWidth } from '../../core/backends/cpu/kernels/matmul-pack.ts'
import { compileOptimized, compileWide } from '../../core/backends/cpu/node-compile.ts'

const isWide = detectFeatures().wideSimd
const compile = isWide ? compileWide : compileOptimized

/** The shortest of some runs, in milliseconds. */
function shortest(run: () => void): number {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < 10; i++) {
    const start = performance.now()
    run()
    best = Math.min(best, performance.now() - start)
  }
  return best
}

function instantiate(module: ModuleBuilder, pages: number): () => void {
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true })
  // numbers whose sums stay ordinary: subnormals would be slow
  new Float32Array(memory.buffer).fill(1e-3)
  return new WebAssembly.Instance(compile(module.bytes()), { env: { memory } }).exports.run as () => void
}

/** GFLOP/s of one thread. */
export function microKernel(width: PanelWidth = isWide ? 16 : 8): number {
  const [steps, calls] = [256, 20_000]
  const module = new ModuleBuilder({ relaxedSimd: true })
  const micro = emitMicroKernel(module, width)
  module.function('run', {}, (f) =>
    f.for(0, calls, 1, () => {
      const [to, stride] = [Address.const(49152), Address.const(width * 4)]
      f.call(micro, Address.const(0), Address.const(8192), I32.const(steps), to, stride, to, stride)
    }),
  )
  return (2 * PANEL_A * width * steps * calls) / shortest(instantiate(module, 1)) / 1e6
}

/** GB/s of one pass over 128 MiB. */
function readBandwidth(streams: number): number {
  const bytes = 128 << 20
  const module = new ModuleBuilder({ relaxedSimd: true })
  module.function('run', {}, (f) => {
    const part = bytes / streams
    const pointers = Array.from({ length: streams }, (_, s) => f.let(Address.const(65536 + s * part)))
    const sums = pointers.map(() => [f.let(F32x4.const(0)), f.let(F32x4.const(0))])
    const one = f.let(F32x4.const(1))
    f.for(0, part, 32, () => {
      for (const [s, pointer] of pointers.entries()) {
        for (const [v, sum] of sums[s].entries()) sum.set(f.madd(one, pointer.loadF32x4(16 * v), sum))
        pointer.set(pointer.add(32))
      }
    })
    const to = f.let(Address.const(0))
    for (const [i, sum] of sums.flat().entries()) f.storeVector(to, sum, 16 * i)
  })
  return bytes / shortest(instantiate(module, bytes / 65536 + 1)) / 1e6
}

if (import.meta.main) {
  console.log(`vectors of ${isWide ? 256 : 128} bits`)
  console.log(`micro-kernel, one thread: ${microKernel().toFixed(1)} GFLOP/s`)
  for (const streams of [1, 2, 4, 8])
    console.log(`reading 128 MiB, one thread, ${streams} streams: ${readBandwidth(streams).toFixed(1)} GB/s`)
}
