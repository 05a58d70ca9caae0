/** What the parts of the bench share. */
import type { DeviceName } from '../core/index.ts'

export interface BenchOptions {
  device: DeviceName
  /** About how long a measurement may take. */
  seconds: number
  /** Folder with real models, laid out as on the Hub; without it models have random weights. */
  models?: string
  /** Folder with SST-2's `train.tsv` and `dev.tsv`; without it sentences are random words. */
  data?: string
}

/** One measurement: a rate or a time, and what else was seen. */
export interface Sample {
  value: number
  [detail: string]: unknown
}

export interface BenchResult {
  value: number
  unit: string
  /** Sizes, and whatever else belongs to the number. */
  detail: Record<string, unknown>
}

export interface Timing {
  /** Median of all runs. */
  median: number
  fastest: number
  runs: number
}

/** Seconds of a function that is run again and again: twice unmeasured, then for about as long as asked, at least 3 times. */
export async function time(run: () => Promise<unknown>, seconds: number): Promise<Timing> {
  await run()
  await run()
  const times: number[] = []
  const end = performance.now() + seconds * 1000
  while (times.length < 3 || performance.now() < end) {
    const start = performance.now()
    await run()
    times.push((performance.now() - start) / 1000)
  }
  times.sort((a, b) => a - b)
  return { median: times[times.length >> 1], fastest: times[0], runs: times.length }
}

/** Samples taken one after the other for about as long as asked, at least 3. */
export async function sampled(measure: () => Promise<Sample>, seconds: number): Promise<Sample[]> {
  const samples: Sample[] = []
  const end = performance.now() + seconds * 1000
  while (samples.length < 3 || performance.now() < end) samples.push(await measure())
  return samples
}

export function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** To some digits, for tables. */
export const round = (x: number, digits = 4): number => Number(x.toPrecision(digits))

/** A small generator of whole numbers below n, the same everywhere. */
export function integers(seed: number): (n: number) => number {
  let state = seed >>> 0
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
}

/** Random token ids of texts as long as the sentences of SST-2: 4 to 60 tokens, 23 in the mean. */
export function sentences(count: number, vocabulary: number, seed = 1): Int32Array[] {
  const next = integers(seed)
  return Array.from({ length: count }, () => {
    // the mean of three uniform numbers, bent towards the short
    const length = 4 + Math.floor(((next(1000) + next(1000) + next(1000)) / 3000) ** 1.7 * 57)
    return Int32Array.from({ length }, () => 1 + next(vocabulary - 1))
  })
}
