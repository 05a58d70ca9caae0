import { type HubOptions, resolveModel, TOKENIZER_FILES } from '../../hub/index.ts'
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
   * From a folder, or from the Hub by its id: only the tokenizer's files are fetched, into the Hugging Face cache.
   *
   * @throws HubError where the model cannot be found; an error that names the file where one cannot be read.
   */
  async fromPretrained(idOrFolder: string, options: HubOptions = {}): Promise<PreTrainedTokenizerFast> {
    const folder = await resolveModel(idOrFolder, { ...options, files: [...TOKENIZER_FILES, 'config.json'] })
    return PreTrainedTokenizerFast.fromFolder(folder)
  },
}
