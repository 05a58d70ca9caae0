/** The cpu device: generated WebAssembly SIMD on one shared memory, with worker threads. */
import { CpuBackend } from './backend.ts'
import { detectFeatures } from './features.ts'
import { MAX_THREADS } from './team.ts'
import { availableCores, canShareMemory } from './threads.ts'

export type { CpuBackend } from './backend.ts'

export interface CpuOptions {
  /** Threads, the calling one included: all cores unless given here or in TUNESMITH_THREADS. */
  readonly threads?: number
  /** False: all work happens on workers, the caller only awaits, synchronous reads throw. */
  readonly mainThread?: boolean
  /** False: as on an engine without relaxed SIMD; for tests. */
  readonly relaxedSimd?: boolean
  /** Pages of 64 KiB at most, instead of 65536; for tests. */
  readonly maximumPages?: number
  /** True: shares even the smallest dispatch among the threads; for tests. */
  readonly shareAlways?: boolean
}

function chooseThreads(options: CpuOptions): number {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } }
  const setting = process?.env?.TUNESMITH_THREADS
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
  const detected = detectFeatures()
  return new CpuBackend({
    threads: chooseThreads(options),
    mainThread: options.mainThread ?? true,
    features: { relaxedSimd: detected.relaxedSimd && (options.relaxedSimd ?? true) },
    maximumPages: options.maximumPages,
    shareAlways: options.shareAlways ?? false,
  })
}
