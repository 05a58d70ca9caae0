/** The cpu device: generated WebAssembly SIMD on one shared memory, with worker threads. */
import type { AddressBits } from './assembler.ts'
import { CpuBackend } from './backend.ts'
import type { BlasSetting } from './blas/library.ts'
import { findBlas } from './blas/node-library.ts'
import { detectFeatures, hasMemory64 } from './features.ts'
import { MAX_THREADS } from './team.ts'
import { availableCores, canShareMemory } from './threads.ts'

export type { CpuBackend } from './backend.ts'
export { hasMemory64 } from './features.ts'

export interface CpuOptions {
  /** Threads, the calling one included: all cores unless given here or in TUNESMITH_THREADS. */
  readonly threads?: number
  /** False: all work happens on workers, the caller only awaits, synchronous reads throw. */
  readonly mainThread?: boolean
  /** A system BLAS for large matrix products: 'off', 'auto' (look for one) or a path, as in TUNESMITH_BLAS. */
  readonly blas?: BlasSetting
  /** False: as on an engine without relaxed SIMD; for tests. */
  readonly relaxedSimd?: boolean
  /** False: 128-bit vectors only, as with TUNESMITH_SIMD=128; for tests. */
  readonly wideSimd?: boolean
  /** 64: a memory of up to 16 GiB, somewhat slower; 32 (4 GiB) unless given here or in TUNESMITH_ADDRESS_BITS. */
  readonly addressBits?: AddressBits
  /** Pages of 64 KiB at most; for tests. */
  readonly maximumPages?: number
  /** Buffers lie at this address or above; for tests. */
  readonly firstAddress?: number
  /** True: shares even the smallest dispatch among the threads; for tests. */
  readonly shareAlways?: boolean
}

const environment = (name: string): string | undefined =>
  (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env?.[name]

function chooseAddressBits(options: CpuOptions): AddressBits {
  const setting = environment('TUNESMITH_ADDRESS_BITS')
  const bits = options.addressBits ?? (setting ? Number(setting) : 32)
  if (bits !== 32 && bits !== 64)
    throw new RangeError(
      `[cpu] ${options.addressBits === undefined ? `TUNESMITH_ADDRESS_BITS="${setting}"` : `addressBits: ${bits}`} is neither 32 nor 64`,
    )
  if (bits === 64 && !hasMemory64())
    throw new Error(
      '[cpu] 64-bit addresses need an engine with WebAssembly memory64: Node 24, Chrome 133, Firefox 134, or later',
    )
  return bits
}

function chooseThreads(options: CpuOptions): number {
  const setting = environment('TUNESMITH_THREADS')
  const wanted = options.threads ?? (setting ? Number(setting) : undefined)
  if (wanted === undefined) return canShareMemory() ? Math.min(MAX_THREADS, availableCores()) : 1
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > MAX_THREADS)
    throw new RangeError(
      `[cpu] ${options.threads === undefined ? `TUNESMITH_THREADS="${setting}"` : `threads: ${wanted}`} is not a number of threads: use 1 to ${MAX_THREADS}`,
    )
  return canShareMemory() ? wanted : 1
}

/**
 * Makes the cpu device; workers start with the first plan that is worth sharing.
 * @throws where the engine lacks WebAssembly SIMD or shared memory
 */
export function createCpuBackend(options: CpuOptions = {}): CpuBackend {
  if (options.mainThread === false && !canShareMemory())
    throw new Error(
      '[cpu] mainThread: false needs a worker that shares memory: serve the page with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp',
    )
  const addressBits = chooseAddressBits(options)
  const blas = (options.blas ?? environment('TUNESMITH_BLAS')) || 'auto'
  // a path that cannot be used is an error at once
  if (blas !== 'auto' && options.mainThread !== false) findBlas(blas)
  return new CpuBackend({
    threads: chooseThreads(options),
    mainThread: options.mainThread ?? true,
    // V8 joins vectors at 32-bit addresses only
    features: detectFeatures(addressBits === 64 ? { ...options, wideSimd: false } : options),
    heap: { addressBits, maximumPages: options.maximumPages, firstAddress: options.firstAddress },
    shareAlways: options.shareAlways ?? false,
    findBlas: () => findBlas(blas),
  })
}
