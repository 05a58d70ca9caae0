import { type ModelFolder, openModelFolder, type SnapshotOptions } from '../hub/index.ts'

export interface GgufOption {
  /** Name of a GGUF file in the folder or repository: config, tokenizer and weights are read from it. */
  ggufFile?: string
}

/**
 * The files of a model: of a folder, a Hub id, a URL, or of a GGUF file, which is named by `ggufFile` or is the source.
 *
 * @throws InputError, one line with the fix, where there is no such model
 */
export async function openModel(
  source: string | ModelFolder,
  { ggufFile, ...options }: SnapshotOptions & GgufOption,
): Promise<ModelFolder> {
  const split =
    typeof source === 'string' && ggufFile === undefined ? /^(.*)[/\\]([^/\\]+\.gguf)$/.exec(source) : null
  if (split) return openModel(split[1] || '/', { ...options, ggufFile: split[2] })
  if (ggufFile === undefined) return openModelFolder(source, options)
  const folder = await openModelFolder(source, { ...options, include: [ggufFile] })
  return (await import('./gguf/folder.ts')).ggufFolder(folder, ggufFile)
}
