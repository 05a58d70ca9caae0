import { InputError } from '../errors.ts'

/** A PyTorch file that is malformed, or holds what is not read for safety. */
export class TorchFileError extends InputError {
  override name = 'TorchFileError'
}
