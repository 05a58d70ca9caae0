/** Pretrained models: configs, models, tokenizers, generation, training. `import ... from 'tunesmith/transformers'`. */
export {
  type AutoClass,
  AutoConfig,
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForMaskedLM,
  AutoModelForMultipleChoice,
  AutoModelForNextSentencePrediction,
  AutoModelForPreTraining,
  AutoModelForQuestionAnswering,
  AutoModelForSequenceClassification,
  AutoModelForTokenClassification,
} from './auto.ts'
export { KVCache } from './cache.ts'
export { type ConfigInit, PretrainedConfig, type StorageDType } from './config.ts'
export type { GenerationOptions } from './generation/config.ts'
export type { GenerateOptions, GenerateOutput } from './generation/generate.ts'
export { type Streamer, TextStreamer, type TextStreamerOptions } from './generation/streamer.ts'
export type { CausalInputs, LabelInputs, ModelInputs, TensorLike } from './inputs.ts'
export { accuracy, bitsPerByte, macroF1, perplexity } from './metrics.ts'
export {
  BertConfig,
  BertForMaskedLM,
  BertForMultipleChoice,
  BertForNextSentencePrediction,
  BertForPreTraining,
  BertForQuestionAnswering,
  BertForSequenceClassification,
  BertForTokenClassification,
  BertModel,
} from './models/bert.ts'
export {
  GPT2Config,
  GPT2ForQuestionAnswering,
  GPT2ForSequenceClassification,
  GPT2ForTokenClassification,
  GPT2LMHeadModel,
  GPT2Model,
} from './models/gpt2.ts'
export {
  LlamaConfig,
  LlamaForCausalLM,
  LlamaForQuestionAnswering,
  LlamaForSequenceClassification,
  LlamaForTokenClassification,
  LlamaModel,
} from './models/llama.ts'
export type {
  BaseModelOutput,
  CausalOutput,
  LogitsOutput,
  PoolingOutput,
  SpanOutput,
} from './outputs.ts'
export { type AnyPreTrainedModel, type FromPretrainedOptions, PreTrainedModel } from './pretrained-model.ts'
export { AutoTokenizer } from './tokenizer/auto.ts'
export { PreTrainedTokenizerFast } from './tokenizer/pretrained.ts'
export * from './trainer/index.ts'
