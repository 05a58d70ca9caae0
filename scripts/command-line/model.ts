/** Loading what a command works with; whatever is wrong with the files is the user's to mend. */
import { InputError, messageOf } from '../../hub/errors.ts'
import type { PreTrainedTokenizerFast } from '../../transformers/tokenizer/pretrained.ts'

/**
 * The local folder of a model, downloaded where it is an id of the Hub; what is loaded later comes from one place. A GGUF
 * file is a model by itself.
 */
export async function modelFolder(idOrFolder: string): Promise<string> {
  if (idOrFolder.endsWith('.gguf')) return idOrFolder
  const { resolveModel } = await import('../../hub/index.ts')
  const { downloadDisplay } = await import('./download-progress.ts')
  const { stop, ...display } = await downloadDisplay(idOrFolder)
  try {
    return await resolveModel(idOrFolder, display)
  } finally {
    stop()
  }
}

/** @throws InputError where the folder has no tokenizer, or one that cannot be read */
export async function loadTokenizer(folder: string): Promise<PreTrainedTokenizerFast> {
  const { AutoTokenizer } = await import('../../transformers/tokenizer/auto.ts')
  return asInputError(() => AutoTokenizer.fromPretrained(folder))
}

/** Errors about arguments and files that the library below the hub throws as plain errors. */
export async function asInputError<T>(run: () => T | Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    throw error instanceof InputError ? error : new InputError(messageOf(error), { cause: error })
  }
}
