import { HubError } from './errors.ts'
import type { RandomAccess } from './files/random-access.ts'
import { looksLikePath } from './repo-id.ts'
import type { ResolveOptions } from './resolve-model.ts'
import type { TensorReader } from './safetensors/reader.ts'
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

const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined

/**
 * The files of a model. In Node: a folder, or an id of the Hub (see `resolveModel`). In a page: a URL, which may be
 * relative to it (`./models/encoder`, `/models/encoder`). Absolute URLs of folders work in both.
 *
 * @throws HubError, one line with the fix, where there is no such model
 */
export async function openModelFolder(
  source: string | ModelFolder,
  options: ResolveOptions = {},
): Promise<ModelFolder> {
  if (typeof source !== 'string') return source
  if (/^https?:\/\//.test(source)) return webFolder(source, options)
  if (isNode) {
    const { resolveInNode } = await import('./node-resolve.ts')
    return localFolder(await resolveInNode(source, options))
  }
  const { location } = globalThis as { location?: { href: string } }
  if (looksLikePath(source) && location) return webFolder(new URL(source, location.href).href, options)
  throw new HubError(
    '[hub] models of the Hub need Node so far; in a page put the model on your server and give its URL, such as ./models/encoder',
  )
}

/** A folder of the file system (Node). */
export async function localFolder(path: string): Promise<ModelFolder> {
  const node = await import('./node-local-folder.ts')
  return node.localFolder(path)
}
