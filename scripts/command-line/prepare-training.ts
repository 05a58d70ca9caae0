/** What finetune checks and reads before anything is computed. */

import type { LabelSet } from '../../data/index.ts'
import {
  AutoConfig,
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
} from '../../transformers/auto.ts'
import type { PreTrainedTokenizerFast } from '../../transformers/tokenizer/pretrained.ts'
import type { TrainableModel, TrainingTask } from '../../transformers/trainer/index.ts'
import { loadTokenizer, modelFolder } from './model.ts'
import {
  type DataArguments,
  readClassificationData,
  readLanguageData,
  type TrainingData,
} from './training-data.ts'

export interface PreparedTraining {
  data: TrainingData
  tokenizer: PreTrainedTokenizerFast
  /** Loads the weights; the device should be chosen by then. */
  loadModel(): Promise<TrainableModel>
}

/** @throws InputError, one line, for whatever is wrong with the model's folder or the data */
export async function prepareTraining(
  args: DataArguments & { model: string; task: TrainingTask },
): Promise<PreparedTraining> {
  const folder = await modelFolder(args.model)
  const config = await AutoConfig.fromPretrained(folder)
  const tokenizer = await loadTokenizer(folder)
  if (args.task === 'causal-lm') {
    const data = await readLanguageData(args)
    return { data, tokenizer, loadModel: () => AutoModelForCausalLM.fromPretrained(folder) }
  }
  const data = await readClassificationData(args, knownLabels(config))
  const overrides = labelFields(data.labels)
  return {
    data,
    tokenizer,
    loadModel: () => AutoModelForSequenceClassification.fromPretrained(folder, { config: overrides }),
  }
}

interface LabelledConfig {
  architectures: readonly string[] | null
  id2label: Readonly<Record<number, string>>
}

/** The classes of a model that is a text classifier already, unless they have placeholders for names. */
function knownLabels({
  architectures,
  id2label,
}: LabelledConfig): Readonly<Record<number, string>> | undefined {
  if (!architectures?.some((name) => name.endsWith('ForSequenceClassification'))) return undefined
  const named = Object.entries(id2label).some(([id, name]) => name !== `LABEL_${id}`)
  return named ? id2label : undefined
}

const labelFields = ({ id2label, label2id }: LabelSet) => ({ id2label, label2id })
