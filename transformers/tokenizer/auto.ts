import { type HubOptions, InputError, type ModelFolder, TOKENIZER_FILES } from '../../hub/index.ts'
import { type GgufOption, openModel } from '../open-model.ts'
import { PreTrainedTokenizerFast } from './pretrained.ts'

/**
 * The tokenizer of a pretrained model.
 *
 * ```ts
 * const tokenizer = await AutoTokenizer.fromPretrained('sentence-transformers/all-MiniLM-L6-v2')
 * const { inputIds, attentionMask } = tokenizer(texts, { padding: true, truncation: true, returnTensors: true })
 * ```
 */
export const AutoTokenizer = {
  /**
   * From a folder, or from the Hub by its id: only the tokenizer's files are fetched, into the Hugging Face cache. In a
   * page the URL of a folder. Or from a GGUF file, with `ggufFile`.
   *
   * @throws HubError where the model cannot be found; InputError where a file is missing or malformed.
   */
  async fromPretrained(
    source: string | ModelFolder,
    options: HubOptions & GgufOption = {},
  ): Promise<PreTrainedTokenizerFast> {
    const folder = await openModel(source, { ...options, include: [...TOKENIZER_FILES, 'config.json'] })
    try {
      return await PreTrainedTokenizerFast.fromFolder(folder)
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause)
      throw new InputError(message.includes(folder.name) ? message : `${message} (in ${folder.name})`, {
        cause,
      })
    }
  },
}
