import { HubError, quote } from './errors.ts'
import { isInnerPath } from './safetensors/checkpoint.ts'

/** A file of a repository at a commit. */
export interface RemoteFile {
  path: string
  /** Bytes. */
  size: number
  /** Name of its content in the cache, and its hash: the sha256 of a large file (LFS), the git blob id of any other. */
  etag: string
  /** What git stores: of a large file the id of its pointer. */
  blobId: string
  lfs: boolean
}

/**
 * A Hub's answers are not trusted: paths and hashes become file names.
 *
 * @throws HubError for a path that could leave its folder on any system, or a hash or size that is none.
 */
export function checkRemoteFile(file: RemoteFile): RemoteFile {
  const { path, size, etag, lfs } = file
  if (typeof path !== 'string' || !isSafePath(path))
    throw new HubError(`[hub] refuses the file name ${quote(String(path))} from the server`)
  const isHash = lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/
  if (!isHash.test(etag) || !Number.isSafeInteger(size) || size < 0)
    throw new HubError(`[hub] ${quote(path)} has no valid hash or size in the server's list`, {
      code: 'BadAnswer',
    })
  return file
}

/** Windows drops dots and spaces at the end of a name, so that `.. ` would be `..`. */
export function isSafePath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return isInnerPath(path) && path.length <= 1024 && !/[\x00-\x1f\x7f]|[. ](\/|$)/.test(path)
}

/**
 * Refuses files that one folder cannot hold: a file where another needs a folder, and, where the file system takes
 * `Config.json` for `config.json`, names that differ by nothing else.
 *
 * @throws HubError that names the two.
 */
export function checkTogether(paths: readonly string[], caseSensitive: boolean): void {
  const key = (path: string) => (caseSensitive ? path : path.normalize('NFC').toLowerCase())
  const files = new Map<string, string>()
  const clash = (one: string, other: string) =>
    new HubError(
      `[hub] refuses ${quote(one)} and ${quote(other)} from the server: one would overwrite the other here; leave one out with exclude`,
    )
  for (const path of paths) {
    const before = files.get(key(path))
    if (before !== undefined) throw clash(before, path)
    files.set(key(path), path)
  }
  for (const path of paths)
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      const file = files.get(key(path.slice(0, end)))
      if (file !== undefined) throw clash(file, path)
    }
}
