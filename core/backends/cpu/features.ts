import { Address, type AddressBits, F32x4, ModuleBuilder } from './assembler.ts'
import type { CpuFeatures } from './dispatch.ts'

/** A tiny module that uses a feature: engines are asked whether it is valid; nothing is run. */
function sample(relaxedSimd: boolean, bits: AddressBits): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ relaxedSimd })
  module.function('run', { at: Address }, (f, { at }) => {
    const one = F32x4.const(1)
    f.storeVector(at, f.madd(one, one, one))
  })
  return module.bytes(bits)
}

/** What the engine can do. */
export function detectFeatures(): CpuFeatures {
  if (!WebAssembly.validate(sample(false, 32)))
    throw new Error(
      '[cpu] this JavaScript engine has no WebAssembly SIMD or no shared memory: use Node 22, or a browser of 2023 or later',
    )
  return { relaxedSimd: WebAssembly.validate(sample(true, 32)) }
}

/** Whether a memory may have 64-bit addresses. */
export const hasMemory64 = (): boolean => WebAssembly.validate(sample(false, 64))
