/** Fine-tuning. */
export type { TrainingArguments, TrainingSchedule, TrainingTask } from './arguments.ts'
export { type DecayGroup, decayGroups } from './groups.ts'
export type { TrainingText } from './task.ts'
export type { TrainingTexts } from './texts.ts'
export {
  type TrainableModel,
  Trainer,
  type TrainerOptions,
  type TrainingProgress,
  type TrainingResult,
} from './trainer.ts'
