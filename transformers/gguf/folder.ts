import { InputError, type ModelFolder, openGguf } from '../../hub/index.ts'
import { llamaConfig, llamaTensors } from './llama.ts'
import { Metadata } from './metadata.ts'
import { tokenizerFromGguf } from './tokenizer.ts'
import { GgufWeights } from './weights.ts'

/**
 * A GGUF file as if it were a model's folder: config, tokenizer and weights come from it, under the names that transformers
 * gives them. Everything that loads a folder loads a GGUF file in this way.
 *
 * @throws InputError if there is no such file; GgufError if it is malformed, or of an architecture that is not built
 */
export async function ggufFolder(folder: ModelFolder, file: string): Promise<ModelFolder> {
  const open = async () => {
    const source = await folder.open(file)
    if (!source) throw new InputError(`[gguf] ${folder.name}/${file}: no such file`)
    return openGguf(source)
  }
  const texts = new Map<string, string>()
  {
    await using gguf = await open()
    const metadata = new Metadata(gguf.name, gguf.metadata)
    const architecture = metadata.string('general.architecture')
    if (architecture !== 'llama')
      throw metadata.error(`holds a model of architecture "${architecture}"; built is llama`)
    texts.set('config.json', JSON.stringify(await llamaConfig(gguf, metadata)))
    if (metadata.has('tokenizer.ggml.model')) {
      const { tokenizerJson, tokenizerConfig } = tokenizerFromGguf(metadata)
      texts.set('tokenizer.json', tokenizerJson)
      texts.set('tokenizer_config.json', tokenizerConfig)
    }
  }
  return {
    name: `${folder.name}/${file}`,
    text: async (path) => texts.get(path),
    open: async () => undefined,
    list: async () => [],
    async weights() {
      const gguf = await open()
      return new GgufWeights(gguf, llamaTensors(gguf, new Metadata(gguf.name, gguf.metadata)))
    },
  }
}
