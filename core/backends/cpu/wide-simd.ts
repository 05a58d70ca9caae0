/** Whether 256-bit vectors pay on this machine: measured once a process, with the kernel that gains most. */
import { Address, I32, ModuleBuilder } from './assembler.ts'
import { emitMicroKernel } from './kernels/matmul-microkernel.ts'
import type { PanelWidth } from './kernels/matmul-pack.ts'
import { canCompileWide, compileOptimized, compileWide } from './node-compile.ts'

/** Steps of k of the probe: all of its data stays in the first-level cache. */
const STEPS = 128
const CALLS = 20
/** The shortest of several rounds: a busy machine disturbs some of them. */
const ROUNDS = 12
/** Twice as fast is expected; without 256-bit vectors the larger tile loses, for want of registers. */
const GAIN = 1.25

const A = 0
const B = 4096
const RESULT = 16384

/** The micro-kernel `CALLS` times, for panels of b of the given width. */
function probe(width: PanelWidth): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ relaxedSimd: true })
  const micro = emitMicroKernel(module, width)
  module.function('run', {}, (f) => {
    const stride = Address.const(width * 4)
    f.for(0, CALLS, 1, () => {
      const to = Address.const(RESULT)
      f.call(micro, Address.const(A), Address.const(B), I32.const(STEPS), to, stride, to, stride)
    })
  })
  return module.bytes()
}

/** Nanoseconds per column of the result, and its first elements. */
function measure(module: WebAssembly.Module, width: PanelWidth): { time: number; results: number[] } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
  const floats = new Float32Array(memory.buffer)
  for (let i = 0; i < RESULT / 4; i++) floats[i] = ((i * 7919) % 1000) / 1000 - 0.5
  // equal columns of b at both widths
  for (let k = 0; k < STEPS; k++)
    for (let c = 0; c < width; c++) floats[B / 4 + k * width + c] = ((k * 31 + c * 7) % 100) / 100
  const run = new WebAssembly.Instance(module, { env: { memory } }).exports.run as () => void
  let time = Number.POSITIVE_INFINITY
  run()
  const results = Array.from({ length: 8 }, (_, i) => floats[RESULT / 4 + i])
  for (let i = 0; i < ROUNDS; i++) {
    const start = performance.now()
    run()
    time = Math.min(time, performance.now() - start)
  }
  return { time: time / width, results }
}

let known: boolean | undefined

/** About 8 milliseconds at the first call. */
export function hasWideSimd(): boolean {
  known ??= detect()
  return known
}

function detect(): boolean {
  if (!canCompileWide()) return false
  try {
    const narrow = measure(compileOptimized(probe(8)), 8)
    const wide = measure(compileWide(probe(16)), 16)
    const isSame = narrow.results.every((x, i) => Object.is(x, wide.results[i]))
    return isSame && narrow.time > GAIN * wide.time
  } catch {
    // an engine that resembles Node, without its flags
    return false
  }
}
