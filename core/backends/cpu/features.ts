import { F32x4, I32, ModuleBuilder } from './assembler.ts'
import type { CpuFeatures } from './dispatch.ts'

/** What the engine can do, found by validating tiny modules; nothing is run. */
export function detectFeatures(): CpuFeatures {
  const module = (relaxedSimd: boolean) => {
    const builder = new ModuleBuilder({ relaxedSimd })
    builder.function('run', { at: I32 }, (f, { at }) => {
      const one = F32x4.const(1)
      f.storeVector(at, f.madd(one, one, one))
    })
    return builder.bytes()
  }
  if (!WebAssembly.validate(module(false)))
    throw new Error(
      '[cpu] this JavaScript engine has no WebAssembly SIMD or no shared memory: use Node 22, or a browser of 2023 or later',
    )
  return { relaxedSimd: WebAssembly.validate(module(true)) }
}
