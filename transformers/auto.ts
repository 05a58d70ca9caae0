/** Models by what their `config.json` says they are. */
import { InputError, type ModelFolder } from '../hub/index.ts'
import type { KeepInputs } from './causal.ts'
import type { PretrainedConfig } from './config.ts'
import { readConfigFile } from './files.ts'
import type { SpanInputs } from './heads.ts'
import type { CausalInputs, LabelInputs } from './inputs.ts'
import { loadPretrained } from './load.ts'
import type { BertInputs, PretrainingInputs, PretrainingOutput } from './models/bert.ts'
import { familyOf, type Head, type ModelFamily, modelTypes } from './models/family.ts'
import type { GPT2LMHeadModel } from './models/gpt2.ts'
import { openModel } from './open-model.ts'
import type { BaseModelOutput, CausalOutput, LogitsOutput, PoolingOutput, SpanOutput } from './outputs.ts'
import type { AnyPreTrainedModel, FromPretrainedOptions, PreTrainedModel } from './pretrained-model.ts'

async function familyFor(source: string, modelType: unknown): Promise<ModelFamily> {
  if (typeof modelType !== 'string')
    throw new InputError(`[fromPretrained] the config.json of ${source} names no model_type`)
  const family = await familyOf(modelType)
  if (!family)
    throw new InputError(
      `[fromPretrained] ${source} is of type "${modelType}"; built are ${modelTypes.join(', ')}`,
    )
  return family
}

/** Configs of any model type. */
export const AutoConfig = {
  /** @throws InputError for a missing or unknown config */
  async fromPretrained(
    source: string | ModelFolder,
    options: Omit<FromPretrainedOptions, 'dtype'> = {},
  ): Promise<PretrainedConfig> {
    const { config: overrides, ...hub } = options
    const folder = await openModel(source, { ...hub, include: ['config.json'] })
    const json = await readConfigFile(folder)
    const { configClass } = await familyFor(folder.name, json.model_type)
    return new configClass({ ...json, ...overrides })
  },
}

/** What an Auto class can do: load a checkpoint, or make a model with fresh weights. */
export interface AutoClass<M> {
  fromPretrained(source: string | ModelFolder, options?: FromPretrainedOptions): Promise<M>
  fromConfig(config: PretrainedConfig): Promise<M>
}

function autoClass<M extends AnyPreTrainedModel>(head: Head, name: string): AutoClass<M> {
  const classFor = async (source: string, modelType: unknown) => {
    const found = (await familyFor(source, modelType)).models[head]
    if (!found) throw new InputError(`[${name}] models of type "${modelType}" have no such head`)
    return found
  }
  return {
    async fromPretrained(source, options = {}) {
      const { config, dtype, ...hub } = options
      const folder = await openModel(source, hub)
      const { model_type } = await readConfigFile(folder)
      return (await loadPretrained(await classFor(folder.name, model_type), folder, { config, dtype })) as M
    },
    async fromConfig(config) {
      const modelClass = await classFor('the config', config.model_type)
      return new modelClass(config as never) as M
    },
  }
}

type Model<In, Out> = PreTrainedModel<PretrainedConfig, In, Out>
/** Inputs that some model types have and others refuse. */
type AnyInputs = CausalInputs & BertInputs

/** Base models, without a head. */
export const AutoModel = autoClass<Model<AnyInputs, BaseModelOutput & PoolingOutput>>('base', 'AutoModel')
export const AutoModelForMaskedLM = autoClass<Model<BertInputs & LabelInputs, LogitsOutput>>(
  'MaskedLM',
  'AutoModelForMaskedLM',
)
export const AutoModelForSequenceClassification = autoClass<Model<AnyInputs & LabelInputs, LogitsOutput>>(
  'SequenceClassification',
  'AutoModelForSequenceClassification',
)
export const AutoModelForTokenClassification = autoClass<Model<AnyInputs & LabelInputs, LogitsOutput>>(
  'TokenClassification',
  'AutoModelForTokenClassification',
)
export const AutoModelForQuestionAnswering = autoClass<Model<AnyInputs & SpanInputs, SpanOutput>>(
  'QuestionAnswering',
  'AutoModelForQuestionAnswering',
)
export const AutoModelForCausalLM = autoClass<
  Model<CausalInputs & LabelInputs & KeepInputs, CausalOutput> & Pick<GPT2LMHeadModel, 'generate'>
>('CausalLM', 'AutoModelForCausalLM')
export const AutoModelForMultipleChoice = autoClass<Model<BertInputs & LabelInputs, LogitsOutput>>(
  'MultipleChoice',
  'AutoModelForMultipleChoice',
)
export const AutoModelForNextSentencePrediction = autoClass<Model<BertInputs & LabelInputs, LogitsOutput>>(
  'NextSentencePrediction',
  'AutoModelForNextSentencePrediction',
)
export const AutoModelForPreTraining = autoClass<Model<BertInputs & PretrainingInputs, PretrainingOutput>>(
  'PreTraining',
  'AutoModelForPreTraining',
)
