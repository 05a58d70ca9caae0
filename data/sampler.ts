import { randomKey, shuffle } from './random.ts'

export interface SampleOptions {
  /** Whether to shuffle. Default true. */
  shuffle?: boolean
  /** Non-negative integer. Default 0. The same seed and epoch give the same order everywhere. */
  seed?: number
  /** Default 0. Every epoch has an order of its own. */
  epoch?: number
  /** Which of `worldSize` processes this is, from 0. Default 0 of 1. */
  rank?: number
  worldSize?: number
  /** Drop the samples that do not divide evenly among the processes; without it, the first are taken again. */
  dropLast?: boolean
}

/**
 * The order in which one process goes through a data set in one epoch, as indices from 0 to `length - 1`. All
 * processes get equally many, every `worldSize`-th of the same shuffled order, as in PyTorch's DistributedSampler;
 * no state is kept, so a run can be resumed in the middle of an epoch by skipping what it has seen.
 *
 * @throws RangeError for a rank outside of the world, or a number that is not a non-negative integer.
 */
export function sampleIndices(length: number, options: SampleOptions = {}): Int32Array {
  const { seed = 0, epoch = 0, rank = 0, worldSize = 1, dropLast = false } = options
  for (const [name, value] of Object.entries({ length, seed, epoch, rank, worldSize })) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw new RangeError(`[sampleIndices] ${name} ${value} must be an integer from 0`)
  }
  if (rank >= worldSize)
    throw new RangeError(`[sampleIndices] rank ${rank} is outside of worldSize ${worldSize}`)
  const order = Int32Array.from({ length }, (_, i) => i)
  if (options.shuffle ?? true) shuffle(order, randomKey(seed, epoch))
  const share = length === 0 ? 0 : dropLast ? Math.floor(length / worldSize) : Math.ceil(length / worldSize)
  return Int32Array.from({ length: share }, (_, i) => order[(rank + i * worldSize) % length])
}
