import { isNode, openRepo } from './environment.ts'
import type { RandomAccess } from './files/random-access.ts'
import type { SnapshotOptions } from './options.ts'
import { looksLikePath } from './repo-id.ts'
import { resolveModel } from './resolve-model.ts'
import type { TensorReader } from './safetensors/reader.ts'
import { fetchSnapshot } from './snapshot.ts'
import { webFolder } from './web-folder.ts'

/** The files of one model, wherever they are: a folder of this machine, a web server's, a browser's cache. */
export interface ModelFolder {
  /** For messages: a path or a URL. */
  readonly name: string
  /** The text of a file; undefined where there is none. */
  text(path: string): Promise<string | undefined>
  /** Opens a file, to be read in ranges; undefined where there is none. */
  open(path: string): Promise<RandomAccess | undefined>
  /** Names of the files in a folder below; none where that cannot be known, as on a plain web server. */
  list(folder: string): Promise<string[]>
  /** The weights, where they lie in no file of a usual name. */
  weights?(): Promise<TensorReader>
}

/**
 * The files of a model: of an id of the Hub, downloaded into the cache where they are not there (in Node the Hugging Face
 * cache, in a page the browser's own file system); of a folder (Node); of a URL, in a page also a relative one
 * (`./models/encoder`, `/models/encoder`).
 *
 * @throws HubError, one line with the fix, where there is no such model
 */
export async function openModelFolder(
  source: string | ModelFolder,
  options: SnapshotOptions = {},
): Promise<ModelFolder> {
  if (typeof source !== 'string') return source
  if (/^https?:\/\//.test(source)) return webFolder(source, options)
  if (isNode) return localFolder(await resolveModel(source, options))
  const { location } = globalThis as { location?: { href: string } }
  if (looksLikePath(source) && location) return webFolder(new URL(source, location.href).href, options)
  const { repo, settings, cache } = await openRepo(source, options)
  const { commit } = await fetchSnapshot(repo, settings, cache, options)
  return cache.folder(commit)
}

/** A folder of the file system (Node). */
export async function localFolder(path: string): Promise<ModelFolder> {
  const node = await import('./node-local-folder.ts')
  return node.localFolder(path)
}
