import { makeBatches, sampleIndices } from '../../data/index.ts'
import type { SettledArguments } from './arguments.ts'

/** The batches of one optimizer step, each a list of text numbers, and how much of an epoch is done after it. */
export interface PlannedStep {
  batches: number[][]
  /** Epochs done after this step, such as 1.5. */
  epoch: number
}

/**
 * Cuts one epoch into steps: texts in an order of its own, in batches by number or by tokens, `accumulate` of them a step. The
 * last step of an epoch may have fewer.
 */
export function epochSteps(lengths: ArrayLike<number>, args: SettledArguments, epoch: number): PlannedStep[] {
  const batches = makeBatches(lengths, {
    batchSize: args.batchSize,
    maxTokensPerBatch: args.batchTokens,
    padded: !args.packing,
    order: sampleIndices(lengths.length, { seed: args.seed, epoch }),
  })
  const count = Math.ceil(batches.length / args.accumulate)
  return Array.from({ length: count }, (_, i) => ({
    batches: batches.slice(i * args.accumulate, (i + 1) * args.accumulate),
    epoch: epoch + (i + 1) / count,
  }))
}

/** How many optimizer steps a run has: a number given, or what the epochs come to. */
export function totalSteps(lengths: ArrayLike<number>, args: SettledArguments): number {
  if (args.maxSteps !== undefined) return args.maxSteps
  let steps = 0
  for (let epoch = 0; epoch < args.epochs; epoch++)
    steps += Math.ceil(epochSteps(lengths, args, epoch).length * Math.min(1, args.epochs - epoch))
  return steps
}

/** All steps of a run, epoch after epoch. */
export function* plannedSteps(
  lengths: ArrayLike<number>,
  args: SettledArguments,
  total: number,
): Generator<PlannedStep> {
  for (let epoch = 0, done = 0; done < total; epoch++)
    for (const step of epochSteps(lengths, args, epoch)) {
      if (done++ === total) return
      yield step
    }
}

/** All texts once, those of like length together: the order of evaluation, where it does not matter. */
export function batchesByLength(lengths: ArrayLike<number>, args: SettledArguments): number[][] {
  const order = Array.from(lengths, (_, i) => i).sort((a, b) => lengths[a] - lengths[b])
  return makeBatches(lengths, {
    batchSize: args.batchSize,
    maxTokensPerBatch: args.batchTokens,
    padded: !args.packing,
    order,
  })
}
