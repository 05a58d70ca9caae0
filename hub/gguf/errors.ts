import { InputError } from '../errors.ts'

/** A GGUF file that is malformed, or holds what is not read. */
export class GgufError extends InputError {
  override name = 'GgufError'
}
