import { InputError } from '../hub/index.ts'

/** A data file that is missing or malformed, or labels that do not fit. Names the file and, where known, the line. */
export class DataError extends InputError {
  override name = 'DataError'
}
