/** Optimizers, gradient clipping and learning rate schedules: `import ... from 'tunesmith/optim'`. */
export { Adam, type AdamOptions, AdamW } from './adam.ts'
export { clipGradNorm_, clipGradValue_ } from './clip.ts'
export { LambdaLR, type LrLambda, type Scheduled } from './lambda-lr.ts'
export { Optimizer, type OptimizerStateDict, type ParamGroup, type Params } from './optimizer.ts'
export {
  type GetSchedulerOptions,
  getConstantSchedule,
  getConstantScheduleWithWarmup,
  getCosineScheduleWithWarmup,
  getCosineWithHardRestartsScheduleWithWarmup,
  getCosineWithMinLrScheduleWithWarmup,
  getInverseSqrtSchedule,
  getLinearScheduleWithWarmup,
  getPolynomialDecayScheduleWithWarmup,
  getScheduler,
  getWsdSchedule,
  schedulerNames,
} from './schedules.ts'
export { SGD, type SGDOptions } from './sgd.ts'
