/**
 * `tunesmith/hub`: the safetensors format, models in folders and in the Hugging Face cache, downloads.
 * @module
 */
export { HubError, InputError, SafetensorsError } from './errors.ts'
export { TOKENIZER_FILES } from './model-files.ts'
export { localFolder, type ModelFolder, openModelFolder } from './model-folder.ts'
export {
  type DownloadProgress,
  download,
  type HubOptions,
  type ResolveOptions,
  resolveModel,
} from './resolve-model.ts'
export * from './safetensors/index.ts'
