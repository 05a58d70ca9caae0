import { Address, type AddressBits, F32x4, ModuleBuilder } from './assembler.ts'
import type { CpuFeatures } from './dispatch.ts'
import { hasWideSimd } from './wide-simd.ts'

/** A tiny module that uses a feature: engines are asked whether it is valid; nothing is run. */
function sample(relaxedSimd: boolean, bits: AddressBits): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ relaxedSimd })
  module.function('run', { at: Address }, (f, { at }) => {
    const one = F32x4.const(1)
    f.storeVector(at, f.madd(one, one, one))
  })
  return module.bytes(bits)
}

/** `TUNESMITH_SIMD=128` keeps to 128-bit vectors. */
function mayWiden(): boolean {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } }
  const setting = process?.env?.TUNESMITH_SIMD
  if (setting && setting !== '128')
    throw new RangeError(
      `[cpu] TUNESMITH_SIMD="${setting}" is not 128: set 128 to keep to 128-bit vectors, or leave it away`,
    )
  return !setting
}

/** What the engine can do; for 256-bit vectors that is measured. `wanted` switches features off. */
export function detectFeatures(wanted: Partial<CpuFeatures> = {}): CpuFeatures {
  if (!WebAssembly.validate(sample(false, 32)))
    throw new Error(
      '[cpu] this JavaScript engine has no WebAssembly SIMD or no shared memory: use Node 22, or a browser of 2023 or later',
    )
  const relaxedSimd = (wanted.relaxedSimd ?? true) && WebAssembly.validate(sample(true, 32))
  const isWideWanted = (wanted.wideSimd ?? true) && mayWiden()
  return { relaxedSimd, wideSimd: relaxedSimd && isWideWanted && hasWideSimd() }
}

/** Whether a memory may have 64-bit addresses. */
export const hasMemory64 = (): boolean => WebAssembly.validate(sample(false, 64))
