import { randomKey, shuffle } from './random.ts'

export interface BatchOptions {
  /** Most texts in a batch. */
  batchSize?: number
  /** Most tokens in a batch: the sum of the lengths, or with `padded` the number of texts times the longest. */
  maxTokensPerBatch?: number
  /** Indices in the order to go through; default 0 to `lengths.length - 1`. */
  order?: Iterable<number>
  /** Count padding against `maxTokensPerBatch`, for batches that will be padded and not packed. Default false. */
  padded?: boolean
  /** Put texts of like length together, so that padding is small; batches then come in shuffled order. Default false. */
  groupByLength?: boolean
  /** Shuffles the grouped batches. Default 0. */
  seed?: number
  /** Drop a last batch of fewer than `batchSize` texts. Default false. */
  dropLast?: boolean
}

/** Texts sorted together by `groupByLength`, in batches: much padding is saved, and the order stays mostly random. */
const BATCHES_PER_GROUP = 50

/**
 * Cuts texts into batches by number, by tokens, or by whichever limit comes first. Every index of `order` is in
 * exactly one batch, and no batch passes a limit.
 *
 * @param lengths tokens of each text
 * @returns indices into `lengths`, in the given order unless `groupByLength` is set
 * @throws RangeError if neither limit is given, or a single text is longer than `maxTokensPerBatch`.
 */
export function makeBatches(lengths: ArrayLike<number>, options: BatchOptions): number[][] {
  checkLimits(options)
  const order = options.order ? [...options.order] : Array.from(lengths, (_, i) => i)
  for (const i of order) {
    if (!(lengths[i] >= 0))
      throw new RangeError(`[makeBatches] index ${i} is outside of the ${lengths.length} lengths`)
  }
  if (!options.groupByLength) return cut(order, lengths, options)
  const groupSize = BATCHES_PER_GROUP * textsPerBatch(order, lengths, options)
  const groups = Array.from({ length: Math.ceil(order.length / groupSize) }, (_, i) =>
    order.slice(i * groupSize, (i + 1) * groupSize).sort((a, b) => lengths[b] - lengths[a]),
  )
  return shuffle(cut(groups.flat(), lengths, options), randomKey(options.seed ?? 0))
}

function cut(order: readonly number[], lengths: ArrayLike<number>, options: BatchOptions): number[][] {
  const { batchSize = Number.POSITIVE_INFINITY, maxTokensPerBatch = Number.POSITIVE_INFINITY } = options
  const batches: number[][] = []
  let batch: number[] = []
  let sum = 0
  let longest = 0
  for (const i of order) {
    const length = lengths[i]
    if (length > maxTokensPerBatch)
      throw new RangeError(
        `[makeBatches] text ${i} has ${length} tokens, over maxTokensPerBatch ${maxTokensPerBatch}; truncate it or raise the limit`,
      )
    const tokens = options.padded ? (batch.length + 1) * Math.max(longest, length) : sum + length
    if (batch.length === batchSize || tokens > maxTokensPerBatch) {
      batches.push(batch)
      batch = []
      sum = 0
      longest = 0
    }
    batch.push(i)
    sum += length
    longest = Math.max(longest, length)
  }
  if (batch.length > 0 && !(options.dropLast && batch.length < batchSize)) batches.push(batch)
  return batches
}

function textsPerBatch(order: readonly number[], lengths: ArrayLike<number>, options: BatchOptions): number {
  const { batchSize = order.length, maxTokensPerBatch } = options
  if (maxTokensPerBatch === undefined) return batchSize
  const mean = order.reduce((sum, i) => sum + lengths[i], 0) / Math.max(1, order.length)
  return Math.max(1, Math.min(batchSize, Math.round(maxTokensPerBatch / Math.max(1, mean))))
}

function checkLimits({ batchSize, maxTokensPerBatch, dropLast }: BatchOptions): void {
  if (batchSize === undefined && maxTokensPerBatch === undefined)
    throw new RangeError('[makeBatches] give batchSize, maxTokensPerBatch or both')
  if (dropLast && batchSize === undefined) throw new RangeError('[makeBatches] dropLast needs batchSize')
  for (const [name, value] of Object.entries({ batchSize, maxTokensPerBatch })) {
    if (value !== undefined && !(Number.isInteger(value) && value > 0))
      throw new RangeError(`[makeBatches] ${name} ${value} must be an integer over 0`)
  }
}
