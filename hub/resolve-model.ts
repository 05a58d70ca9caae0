import { HubError } from './errors.ts'

/** How far a download is. */
export interface DownloadProgress {
  /** The file under way, and its size in bytes. */
  file: string
  fileBytes: number
  /** Bytes of all files together: here by now, and in the end. */
  bytes: number
  totalBytes: number
}

export interface HubOptions {
  /** Branch, tag or commit. Default `main`. */
  revision?: string
  /** Default: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  cacheDir?: string
  /** Access token. Default: `HF_TOKEN`, else the one that Python's `login` stored. Sent to the endpoint alone. */
  token?: string
  /** Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string
  /** Never ask the network. Default: whether `HF_HUB_OFFLINE` is set. */
  localFilesOnly?: boolean
  signal?: AbortSignal
  onProgress?: (progress: DownloadProgress) => void
}

export interface ResolveOptions extends HubOptions {
  /** Files to bring, by pattern (`*` and `?`). Default: what a model needs, with weights in safetensors, else of PyTorch. */
  files?: readonly string[]
}

/**
 * The local folder of a model (Node). A folder is returned as it is. An id of the Hub is resolved to a commit, and
 * what is missing of it is downloaded into the Hugging Face cache, which is shared with Python. While the Hub cannot
 * be reached, the last state of the branch that the cache knows serves.
 *
 * ```ts
 * const folder = await resolveModel('sentence-transformers/all-MiniLM-L6-v2')
 * await using weights = await openCheckpoint(folder)
 * ```
 *
 * @throws HubError, one line with the fix, for a bad or unknown id, a revision or file that is not there, a model
 * without weights, refused access, a network that cannot be reached. The signal's reason if it was aborted.
 */
export async function resolveModel(idOrFolder: string, options: ResolveOptions = {}): Promise<string> {
  return (await inNode()).resolveInNode(idOrFolder, options)
}

/**
 * Path of one file of a Hub model in the cache, downloaded if it is not there (Node).
 *
 * @throws HubError as `resolveModel` does.
 */
export async function download(id: string, file: string, options: HubOptions = {}): Promise<string> {
  if (/[*?]/.test(file))
    throw new HubError(`[hub] ${JSON.stringify(file)} is a pattern; download takes one file`)
  const folder = await (await inNode()).resolveFromHub(id, { ...options, files: [file] })
  return (await import('node:path')).join(folder, file)
}

async function inNode() {
  if (typeof process === 'undefined' || process.versions?.node === undefined)
    throw new HubError(
      '[hub] the Hugging Face cache needs Node; in a page openModelFolder reads a model from its URL',
    )
  return import('./node-resolve.ts')
}
