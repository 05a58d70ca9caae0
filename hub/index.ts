/**
 * `tunesmith/hub`: models and data on the Hugging Face Hub, in its cache and in folders; the safetensors format.
 * @module
 */
export { type CreateRepoOptions, createRepo } from './create-repo.ts'
export { download, snapshotDownload } from './download.ts'
export { HubError, type HubErrorCode, InputError, SafetensorsError } from './errors.ts'
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
export {
  formatModelCard,
  loadModelCard,
  type ModelCard,
  type ModelCardData,
  parseModelCard,
} from './model-card.ts'
export { TOKENIZER_FILES } from './model-files.ts'
export { localFolder, type ModelFolder, openModelFolder } from './model-folder.ts'
export type { ConnectionOptions, DownloadProgress, HubOptions, RepoType, SnapshotOptions } from './options.ts'
export { TorchFileError } from './pickle/errors.ts'
export { openTorchFile } from './pickle/torch-file.ts'
export type { RemoteFile } from './remote-file.ts'
export { fileExists, listFiles, type ModelInfo, modelInfo, resolveUrl } from './repo-info.ts'
export { resolveModel } from './resolve-model.ts'
export * from './safetensors/index.ts'
export { type CommitInfo, type UploadFile, type UploadOptions, upload } from './upload.ts'
