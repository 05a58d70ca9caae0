/** What a training run is asked to do, and the defaults. */

export type TrainingTask = 'text-classification' | 'causal-lm'
export type TrainingSchedule = 'linear' | 'cosine' | 'constant'

export interface TrainingArguments {
  /** How often to go through the texts; may be a fraction. Default 3. */
  epochs?: number
  /** Optimizer steps in all; takes the place of `epochs`. */
  maxSteps?: number
  /** Highest learning rate. Default 5e-5. */
  lr?: number
  /** How the learning rate goes on after the warm-up. Default `linear`, down to 0. */
  scheduler?: TrainingSchedule
  /** Share of all steps over which the learning rate rises from 0. Default 0. */
  warmupRatio?: number
  /** Texts (blocks, for a language model) of a batch. Default 32, for a language model 8. */
  batchSize?: number
  /** Most tokens of a batch, in place of a number of texts. */
  batchTokens?: number
  /** Batches whose gradients are added up for one optimizer step. Default 1. */
  accumulate?: number
  /** Texts are cut to this many tokens; blocks of a language model have this length. Default: the model's context, at most 512. */
  maxLength?: number
  /** Lay the texts of a batch side by side in one row, without padding. Default true. */
  packing?: boolean
  /** Shrinks matrices by lr * weightDecay a step; biases and norms are left alone. Default 0.01. */
  weightDecay?: number
  /** Largest norm of all gradients together; 0 leaves them as they are. Default 1. */
  maxGradNorm?: number
  /** Seeds the order of the texts and dropout. Default 42. */
  seed?: number
}

/** Arguments with every default filled in; `maxLength` is settled by the task. */
export type SettledArguments = Required<
  Omit<TrainingArguments, 'maxSteps' | 'batchSize' | 'batchTokens' | 'maxLength'>
> &
  Pick<TrainingArguments, 'maxSteps' | 'batchSize' | 'batchTokens' | 'maxLength'>

const SCHEDULES: readonly TrainingSchedule[] = ['linear', 'cosine', 'constant']

/** Default of `maxLength` where the model's context is longer. */
export const USUAL_LENGTH = 512

const DEFAULT_BATCH: Record<TrainingTask, number> = { 'text-classification': 32, 'causal-lm': 8 }

const isPositiveInteger = (n: number): boolean => Number.isSafeInteger(n) && n > 0

/** @throws RangeError for a value that makes no sense, and for both sizes of a batch at once */
export function settleArguments(task: TrainingTask, given: TrainingArguments): SettledArguments {
  const args: SettledArguments = {
    epochs: 3,
    lr: 5e-5,
    scheduler: 'linear',
    warmupRatio: 0,
    accumulate: 1,
    packing: true,
    weightDecay: 0.01,
    maxGradNorm: 1,
    seed: 42,
    ...definedOnly(given),
  }
  const { batchSize, batchTokens } = args
  if (batchSize !== undefined && batchTokens !== undefined)
    throw new RangeError('[Trainer] give batchSize or batchTokens, not both')
  if (batchSize === undefined && batchTokens === undefined) args.batchSize = DEFAULT_BATCH[task]
  check('epochs', args.epochs, (n) => n > 0 && Number.isFinite(n), 'over 0')
  for (const name of ['maxSteps', 'batchSize', 'batchTokens', 'accumulate', 'maxLength'] as const)
    check(name, args[name], isPositiveInteger, 'an integer over 0')
  for (const name of ['lr', 'weightDecay', 'maxGradNorm'] as const)
    check(name, args[name], (n) => n >= 0 && Number.isFinite(n), 'at least 0')
  check('warmupRatio', args.warmupRatio, (n) => n >= 0 && n <= 1, 'from 0 to 1')
  check('seed', args.seed, (n) => Number.isSafeInteger(n) && n >= 0, 'an integer from 0')
  if (!SCHEDULES.includes(args.scheduler))
    throw new RangeError(`[Trainer] scheduler "${args.scheduler}" is not one of ${SCHEDULES.join(', ')}`)
  return args
}

function check(name: string, value: number | undefined, isFine: (n: number) => boolean, rule: string): void {
  if (value !== undefined && !isFine(value))
    throw new RangeError(`[Trainer] ${name} ${value} must be ${rule}`)
}

function definedOnly<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>
}
