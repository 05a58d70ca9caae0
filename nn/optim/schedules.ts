/** The learning rate schedules of transformers' `optimization.py`, by their names there. */
import { LambdaLR, type LrLambda, type Scheduled } from './lambda-lr.ts'

/** 0 to 1 over the warm-up, undefined after it. */
const warmup = (step: number, warmupSteps: number): number | undefined =>
  step < warmupSteps ? step / Math.max(1, warmupSteps) : undefined

/** 0 at the end of the warm-up, 1 at the last step. */
const progressAfter = (step: number, warmupSteps: number, steps: number): number =>
  (step - warmupSteps) / Math.max(1, steps - warmupSteps)

const cosine = (cycles: number): number => 0.5 * (1 + Math.cos(2 * Math.PI * cycles))

export interface WarmupOptions {
  /** Steps over which the rate rises from 0. */
  numWarmupSteps: number
  lastEpoch?: number
}

export interface ScheduleOptions extends WarmupOptions {
  /** All steps of the training, the warm-up included. */
  numTrainingSteps: number
}

export const getConstantSchedule = (optimizer: Scheduled, options: { lastEpoch?: number } = {}): LambdaLR =>
  new LambdaLR(optimizer, () => 1, options)

export const getConstantScheduleWithWarmup = (optimizer: Scheduled, options: WarmupOptions): LambdaLR =>
  new LambdaLR(optimizer, (step) => warmup(step, Math.max(1, options.numWarmupSteps)) ?? 1, options)

/** Down to 0 on a straight line. */
export function getLinearScheduleWithWarmup(optimizer: Scheduled, options: ScheduleOptions): LambdaLR {
  const { numWarmupSteps, numTrainingSteps } = options
  const after: LrLambda = (step) =>
    Math.max(0, (numTrainingSteps - step) / Math.max(1, numTrainingSteps - numWarmupSteps))
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

/** Along cosine waves: half of one (to 0) unless `numCycles` says otherwise. */
export function getCosineScheduleWithWarmup(
  optimizer: Scheduled,
  options: ScheduleOptions & { numCycles?: number },
): LambdaLR {
  const { numWarmupSteps, numTrainingSteps, numCycles = 0.5 } = options
  const after: LrLambda = (step) =>
    Math.max(0, cosine(numCycles * progressAfter(step, numWarmupSteps, numTrainingSteps)))
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

/** `numCycles` times from the top to 0, with jumps back. */
export function getCosineWithHardRestartsScheduleWithWarmup(
  optimizer: Scheduled,
  options: ScheduleOptions & { numCycles?: number },
): LambdaLR {
  const { numWarmupSteps, numTrainingSteps, numCycles = 1 } = options
  const after: LrLambda = (step) => {
    const progress = progressAfter(step, numWarmupSteps, numTrainingSteps)
    return progress >= 1 ? 0 : cosine(((numCycles * progress) % 1) / 2)
  }
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

/** Along half a cosine wave down to `minLr`, or to `minLrRate` of the initial rate. */
export function getCosineWithMinLrScheduleWithWarmup(
  optimizer: Scheduled,
  options: ScheduleOptions & { numCycles?: number; minLr?: number; minLrRate?: number },
): LambdaLR {
  const { numWarmupSteps, numTrainingSteps, numCycles = 0.5, minLr, minLrRate } = options
  if ((minLr === undefined) === (minLrRate === undefined))
    throw new TypeError('[getScheduler] cosine_with_min_lr takes one of minLr and minLrRate')
  const rate = minLrRate ?? minLr! / initialLr(optimizer)
  const after: LrLambda = (step) => {
    const factor = cosine(numCycles * progressAfter(step, numWarmupSteps, numTrainingSteps))
    return Math.max(0, factor * (1 - rate) + rate)
  }
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

const initialLr = (optimizer: Scheduled): number =>
  optimizer.paramGroups[0].initialLr ?? optimizer.paramGroups[0].lr

/** Down to `lrEnd` (1e-7) along a power (1: a line) of what remains. */
export function getPolynomialDecayScheduleWithWarmup(
  optimizer: Scheduled,
  options: ScheduleOptions & { lrEnd?: number; power?: number },
): LambdaLR {
  const { numWarmupSteps, numTrainingSteps, lrEnd = 1e-7, power = 1 } = options
  const start = initialLr(optimizer)
  if (!(start > lrEnd))
    throw new RangeError(`[getScheduler] lrEnd ${lrEnd} must be below the initial rate ${start}`)
  const after: LrLambda = (step) => {
    if (step > numTrainingSteps) return lrEnd / start
    const remaining = 1 - (step - numWarmupSteps) / (numTrainingSteps - numWarmupSteps)
    return ((start - lrEnd) * remaining ** power + lrEnd) / start
  }
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

/** With 1 / sqrt(step), scaled to start at the top; `timescale` is the warm-up, or 10000 without one. */
export function getInverseSqrtSchedule(
  optimizer: Scheduled,
  options: WarmupOptions & { timescale?: number },
): LambdaLR {
  const { numWarmupSteps } = options
  const timescale = options.timescale ?? (numWarmupSteps || 10_000)
  const after: LrLambda = (step) => 1 / Math.sqrt((step + timescale - numWarmupSteps) / timescale)
  return new LambdaLR(optimizer, (step) => warmup(step, numWarmupSteps) ?? after(step), options)
}

type Ramp = 'linear' | 'cosine' | '1-sqrt'

/** Warm-up, a plateau, and a decay over the last `numDecaySteps`. */
export function getWsdSchedule(
  optimizer: Scheduled,
  options: WarmupOptions & {
    numDecaySteps: number
    numTrainingSteps?: number
    numStableSteps?: number
    warmupType?: Ramp
    decayType?: Ramp
    minLrRatio?: number
    numCycles?: number
  },
): LambdaLR {
  const { numWarmupSteps, numDecaySteps, numTrainingSteps, minLrRatio = 0, numCycles = 0.5 } = options
  if (numTrainingSteps === undefined && options.numStableSteps === undefined)
    throw new TypeError('[getScheduler] warmup_stable_decay needs numTrainingSteps or numStableSteps')
  const stable = options.numStableSteps ?? numTrainingSteps! - numWarmupSteps - numDecaySteps
  const up: Record<Ramp, LrLambda> = {
    linear: (x) => x,
    cosine: (x) => 0.5 * (1 - Math.cos(Math.PI * x)),
    '1-sqrt': (x) => 1 - Math.sqrt(1 - x),
  }
  const down: Record<Ramp, LrLambda> = {
    linear: (x) => 1 - x,
    cosine: (x) => cosine(numCycles * x),
    '1-sqrt': (x) => 1 - Math.sqrt(x),
  }
  const rise = up[options.warmupType ?? 'linear']
  const fall = down[options.decayType ?? 'cosine']
  if (!rise || !fall) throw new RangeError('[getScheduler] ramps are linear, cosine or 1-sqrt')
  const above = (x: number) => Math.max(0, x * (1 - minLrRatio) + minLrRatio)
  return new LambdaLR(
    optimizer,
    (step) => {
      if (step < numWarmupSteps) return above(rise(step / Math.max(1, numWarmupSteps)))
      const left = step - numWarmupSteps - stable
      if (left < 0) return 1
      return left < numDecaySteps ? above(fall(left / Math.max(1, numDecaySteps))) : minLrRatio
    },
    options,
  )
}

/** What `getScheduler` takes beside the name; a schedule that needs more finds it in `schedulerSpecificKwargs`. */
export interface GetSchedulerOptions {
  numWarmupSteps?: number
  numTrainingSteps?: number
  /** Options of the schedule's own function, such as `numCycles`. */
  schedulerSpecificKwargs?: Record<string, unknown>
}

type Make = (optimizer: Scheduled, options: never) => LambdaLR

const SCHEDULES: Record<string, { make: Make; needs: ('numWarmupSteps' | 'numTrainingSteps')[] }> = {
  linear: { make: getLinearScheduleWithWarmup, needs: ['numWarmupSteps', 'numTrainingSteps'] },
  cosine: { make: getCosineScheduleWithWarmup, needs: ['numWarmupSteps', 'numTrainingSteps'] },
  cosine_with_restarts: {
    make: getCosineWithHardRestartsScheduleWithWarmup,
    needs: ['numWarmupSteps', 'numTrainingSteps'],
  },
  polynomial: {
    make: getPolynomialDecayScheduleWithWarmup,
    needs: ['numWarmupSteps', 'numTrainingSteps'],
  },
  constant: { make: getConstantSchedule, needs: [] },
  constant_with_warmup: { make: getConstantScheduleWithWarmup, needs: ['numWarmupSteps'] },
  inverse_sqrt: { make: getInverseSqrtSchedule, needs: ['numWarmupSteps'] },
  cosine_with_min_lr: {
    make: getCosineWithMinLrScheduleWithWarmup,
    needs: ['numWarmupSteps', 'numTrainingSteps'],
  },
  warmup_stable_decay: { make: getWsdSchedule, needs: ['numWarmupSteps'] },
}

/** The names that `getScheduler` knows. */
export const schedulerNames: readonly string[] = Object.keys(SCHEDULES)

/**
 * A schedule by its name in transformers: linear, cosine, constant, constant_with_warmup, ...
 * @throws for an unknown name, or where the schedule lacks a number of steps
 */
export function getScheduler(
  name: string,
  optimizer: Scheduled,
  options: GetSchedulerOptions = {},
): LambdaLR {
  const schedule = SCHEDULES[name]
  if (!schedule) throw new RangeError(`[getScheduler] "${name}" is not one of ${schedulerNames.join(', ')}`)
  for (const need of schedule.needs)
    if (options[need] === undefined) throw new TypeError(`[getScheduler] ${name} needs ${need}`)
  const { numWarmupSteps, numTrainingSteps, schedulerSpecificKwargs } = options
  return schedule.make(optimizer, {
    numWarmupSteps,
    numTrainingSteps,
    ...schedulerSpecificKwargs,
  } as never)
}
