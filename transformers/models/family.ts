import type { PretrainedConfig } from '../config.ts'
import type { AnyPreTrainedModel, PretrainedClass } from '../pretrained-model.ts'

/** What an Auto class can ask of a model type. */
export type Head =
  | 'base'
  | 'CausalLM'
  | 'MaskedLM'
  | 'MultipleChoice'
  | 'NextSentencePrediction'
  | 'PreTraining'
  | 'QuestionAnswering'
  | 'SequenceClassification'
  | 'TokenClassification'

/** What a file of this folder says of its model type. */
export interface ModelFamily {
  readonly configClass: new (init?: Readonly<Record<string, unknown>>) => PretrainedConfig
  readonly models: Readonly<Partial<Record<Head, PretrainedClass<AnyPreTrainedModel>>>>
}

/** One file per `model_type`, loaded when it is first needed. */
const FILES: Readonly<Record<string, () => Promise<{ family: ModelFamily }>>> = {
  bert: () => import('./bert.ts'),
  gpt2: () => import('./gpt2.ts'),
  llama: () => import('./llama.ts'),
}

export const modelTypes: readonly string[] = Object.keys(FILES)

/** Null where the type is not built. */
export const familyOf = async (modelType: string): Promise<ModelFamily | null> =>
  Object.hasOwn(FILES, modelType) ? (await FILES[modelType]()).family : null
