/**
 * `tunesmith/hub`: the safetensors format, models in folders and in the Hugging Face cache, downloads.
 * @module
 */
export { HubError, InputError, SafetensorsError } from './errors.ts'
export { openUrl, type UrlOptions } from './files/http-file.ts'
export {
  blobAccess,
  type FileInput,
  memoryAccess,
  openInput,
  type RandomAccess,
} from './files/random-access.ts'
export { GgufError } from './gguf/errors.ts'
export type { GgufTensorInfo, GgufValue } from './gguf/header.ts'
export { type GgufFile, openGguf } from './gguf/reader.ts'
export { TOKENIZER_FILES } from './model-files.ts'
export { localFolder, type ModelFolder, openModelFolder } from './model-folder.ts'
export { TorchFileError } from './pickle/errors.ts'
export { openTorchFile } from './pickle/torch-file.ts'
export {
  type DownloadProgress,
  download,
  type HubOptions,
  type ResolveOptions,
  resolveModel,
} from './resolve-model.ts'
export * from './safetensors/index.ts'
