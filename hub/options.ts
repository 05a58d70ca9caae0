/** What a repository on the Hub is. */
export type RepoType = 'model' | 'dataset' | 'space'

/** How far a download is. */
export interface DownloadProgress {
  /** The file that moved on, its size, and how much of it is here, in bytes. */
  file: string
  fileBytes: number
  fileLoaded: number
  /** Bytes of all files together: here by now, and in the end. */
  bytes: number
  totalBytes: number
}

/** Where the Hub is, who asks, and how patiently. */
export interface ConnectionOptions {
  /** Default `model`. */
  repoType?: RepoType
  /** Branch, tag or commit. Default `main`. */
  revision?: string
  /**
   * Access token, or `false` for none. Default: `HF_TOKEN`, else the one that Python's `hf auth login` stored. Sent to the
   * endpoint alone.
   */
  token?: string | false
  /** Default: `HF_ENDPOINT`, else `https://huggingface.co`. */
  endpoint?: string
  signal?: AbortSignal
  /** How often a request is repeated that failed for a passing reason (429, 5xx, a cut connection). Default 5. */
  retries?: number
  /** Milliseconds before the first repetition; doubled each time, up to 30 s. A server's `Retry-After` is added. Default 500. */
  retryDelay?: number
  /** Told what a person would want to know meanwhile, as one line: a wait, a cache used in the Hub's place. */
  onNotice?: (text: string) => void
}

export interface HubOptions extends ConnectionOptions {
  /** Node: default `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else `~/.cache/huggingface/hub`. */
  cacheDir?: string
  /** Never ask the network. Default: whether `HF_HUB_OFFLINE` is set. */
  localFilesOnly?: boolean
  onProgress?: (progress: DownloadProgress) => void
}

export interface SnapshotOptions extends HubOptions {
  /**
   * Which files, by pattern (`*` anything, `/` included; `?` one character; `[abc]`; `folder/` all below). Default: what a
   * model needs, with weights in safetensors alone; of a dataset everything.
   */
  include?: string | readonly string[]
  /** Which of them not. */
  exclude?: string | readonly string[]
  /** Files that are downloaded at once. Default 8. */
  maxWorkers?: number
}

/** What options, environment and defaults come to. */
export interface HubSettings {
  endpoint: string
  token: string | undefined
  /** Folder of the cache; empty where there is no file system. */
  cacheDir: string
  offline: boolean
  /** Whether snapshots may link to contents. */
  symlinks: boolean
  /** Milliseconds to wait for an answer, and between two pieces of one. */
  answerTimeout: number
  readTimeout: number
}
