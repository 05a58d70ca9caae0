import { isNode, openRepo } from './environment.ts'
import { HubError, quote } from './errors.ts'
import type { HubOptions, SnapshotOptions } from './options.ts'
import { fetchSnapshot, type Snapshot } from './snapshot.ts'

/**
 * Path of one file of a repository in the Hugging Face cache, downloaded if it is not there (Node).
 *
 * ```ts
 * const path = await download('bert-base-uncased', 'vocab.txt')
 * const rows = await download('stanfordnlp/imdb', 'plain_text/test-00000-of-00001.parquet', { repoType: 'dataset' })
 * ```
 *
 * @throws HubError, one line with the fix, for a bad or unknown id, a revision or file that is not there, refused access, a
 * network that cannot be reached, a content that is not what the Hub announced. InputError for a full disk. The signal's
 * reason if it was aborted.
 */
export async function download(id: string, file: string, options: HubOptions = {}): Promise<string> {
  if (/\*|\/$/.test(file))
    throw new HubError(
      `[hub] ${quote(file)} is a pattern; download takes one file, snapshotDownload patterns`,
    )
  const { folder } = await snapshotOnDisk(id, { ...options, include: file.replace(/[?[]/g, '[$&]') })
  return (await import('node:path')).join(folder, file)
}

/**
 * Folder of a revision of a repository in the Hugging Face cache, after what is missing of it was downloaded, several files at
 * once (Node). Without `include` a model brings its config, tokenizer and safetensors weights, a dataset all of its files.
 *
 * A download that was cut, or killed, goes on where it ended. Files appear only when they are whole and their hash is right.
 * Python's huggingface_hub and transformers use the same cache.
 *
 * ```ts
 * const folder = await snapshotDownload('HuggingFaceTB/SmolLM2-135M-Instruct', {
 *   revision: 'main', exclude: '*.bin', onProgress: ({ bytes, totalBytes }) => console.log(bytes / totalBytes),
 * })
 * ```
 *
 * @throws as `download` does.
 */
export async function snapshotDownload(id: string, options: SnapshotOptions = {}): Promise<string> {
  return (await snapshotOnDisk(id, options)).folder
}

/** A snapshot in the cache on disk. */
export interface SnapshotOnDisk extends Snapshot {
  folder: string
}

/** `snapshotDownload` with what it brought. */
export async function snapshotOnDisk(id: string, options: SnapshotOptions): Promise<SnapshotOnDisk> {
  if (!isNode)
    throw new HubError(
      '[hub] paths of files need Node; in a page openModelFolder gives the files of a model, from the Hub too',
    )
  const { repo, settings, cache } = await openRepo(id, options)
  const snapshot = await fetchSnapshot(repo, settings, cache, options)
  const { snapshotFolder } = await import('./node-cache.ts')
  return { ...snapshot, folder: snapshotFolder(settings.cacheDir, repo, snapshot.commit) }
}
