/**
 * `tunesmith/hub`: the safetensors format, models in folders and in the Hugging Face cache, downloads.
 * @module
 */
export { HubError, InputError, SafetensorsError } from './errors.ts'
export * from './safetensors/index.ts'
