/**
 * `tunesmith/tokenization`: Hugging Face tokenizers, the library's own code in WebAssembly, and the tokenizers of
 * pretrained models above them.
 * @module
 */
export { BatchEncoding, type EncodedFields } from './batch-encoding.ts'
export type { ApplyChatTemplateOptions, CallOptions, EncodeTextOptions, PadOptions } from './call-options.ts'
export type { ChatMessage, ChatTemplateOptions } from './chat-template.ts'
export {
  byteLevelAlphabet,
  Decoder,
  Normalizer,
  type PreToken,
  PreTokenizer,
} from './components.ts'
export type { EncodeInput, EncodeRequest, Sequence } from './encode.ts'
export type { TextInput } from './encode-batch.ts'
export { Encoding, type Offset } from './encoding.ts'
export type { EncodedColumns, EncodedRow, PaddedColumns } from './pad-batch.ts'
export { type ComponentConfig, type Pattern, Regex, type SplitBehavior } from './parts/config.ts'
export * as decoders from './parts/decoders.ts'
export * as models from './parts/models.ts'
export * as normalizers from './parts/normalizers.ts'
export * as postProcessors from './parts/post-processors.ts'
export * as preTokenizers from './parts/pre-tokenizers.ts'
export * as trainers from './parts/trainers.ts'
export { type PoolOptions, TokenizerPool } from './pool.ts'
export { type DecodeOptions, PreTrainedTokenizer } from './pretrained.ts'
export type { TokenizerFiles, TokenizerParts } from './pretrained-files.ts'
export type { AddedToken, Padding, Side, Truncation, TruncationStrategy } from './settings.ts'
export type { SpecialTokenName } from './special-tokens.ts'
export { TextStream } from './stream.ts'
export { type EncodeOptions, type Parts, Tokenizer } from './tokenizer.ts'
export type { TrainerOptions } from './train.ts'
