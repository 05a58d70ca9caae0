import { HubError, messageOf } from './errors.ts'
import { blobAccess } from './files/random-access.ts'
import { formatBytes } from './format-bytes.ts'
import { parseListing, stringifyListing } from './listing.ts'
import type { ModelFolder } from './model-folder.ts'
import type { PartialBlob, RepoCache } from './repo-cache.ts'
import { isCommit, type Repo } from './repo-id.ts'

/** A content is kept in pieces of this size: a file of the origin's file system appears whole or not at all. */
const PIECE = 8 * 1024 * 1024
/** The file that says that all pieces of a content are there; it holds their bytes. */
const COMPLETE = 'complete'

/**
 * The cache of one repository in the origin private file system of a browser, for windows and workers of one origin:
 *
 *     tunesmith-hub/models--owner--name/blobs/<etag>/0, 1, ...   the pieces of a content
 *                                       blobs/<etag>/complete    its bytes, when it is whole
 *                                       refs/<branch or tag>     the commit it stood for when it was last asked
 *                                       trees/<commit>           the list of a commit's files
 *                                       snapshots/<commit>       which of them are here, and their contents
 *
 * https://fs.spec.whatwg.org
 *
 * @throws HubError where the browser has no such file system, or not for this page.
 */
export async function browserRepoCache(repo: Repo): Promise<RepoCache> {
  const root = await originFolder()
  const name = [`${repo.type}s`, ...repo.id.split('/')].join('--')
  const repoFolder = await (await subfolder(root, 'tunesmith-hub')).getDirectoryHandle(name, { create: true })
  const [blobs, refs, trees, snapshots] = await Promise.all(
    ['blobs', 'refs', 'trees', 'snapshots'].map((folder) => subfolder(repoFolder, folder)),
  )
  /** Which files of a commit are here: path to the name of the content. */
  const readSnapshot = async (commit: string): Promise<Record<string, string>> => {
    const text = await readText(snapshots, commit)
    return text === undefined ? {} : (JSON.parse(text) as Record<string, string>)
  }
  const blobSize = async (etag: string): Promise<number | undefined> => {
    const text = await readText(await existing(blobs, etag), COMPLETE)
    return text === undefined ? undefined : Number(text)
  }
  const blobOf = async (etag: string): Promise<Blob | undefined> => {
    const folder = await existing(blobs, etag)
    const size = await blobSize(etag)
    if (!folder || size === undefined) return undefined
    const pieces: Blob[] = []
    for (let n = 0; n * PIECE < size; n++)
      pieces.push(await (await folder.getFileHandle(String(n))).getFile())
    return new Blob(pieces)
  }
  return {
    name: 'of this browser',
    caseSensitive: async () => true, // paths are text here, not files
    async readRef(revision) {
      if (isCommit(revision)) return revision
      const commit = await readText(refs, encodeURIComponent(revision))
      return commit !== undefined && isCommit(commit) ? commit : undefined
    },
    writeRef: (revision, commit) => writeText(refs, encodeURIComponent(revision), commit),
    readListing: async (commit) => parseListing((await readText(trees, commit)) ?? ''),
    writeListing: (commit, files) => writeText(trees, commit, stringifyListing(files)),
    listSnapshot: async (commit) => Object.keys(await readSnapshot(commit)),
    async fileSize(commit, path) {
      const etag = (await readSnapshot(commit))[path]
      return etag === undefined ? undefined : blobSize(etag)
    },
    blobSize,
    async partialSize(etag) {
      const folder = await existing(blobs, etag)
      let size = 0
      for (let n = 0; folder; n++) {
        const piece = await folder.getFileHandle(String(n)).catch(() => undefined)
        if (!piece) break
        size += (await piece.getFile()).size
      }
      return size
    },
    openPartial: async (etag) => openPartial(await subfolder(blobs, etag)),
    // One snapshot is one file: writers wait for each other, or one would undo what the other noted.
    place: (commit, path, etag) =>
      withLock(`${name}/${commit}`, async () => {
        const snapshot = { ...(await readSnapshot(commit)), [path]: etag }
        await writeText(snapshots, commit, JSON.stringify(snapshot))
      }),
    lock: (etag, action, signal) => withLock(`${name}/${etag}`, action, signal),
    async checkSpace(bytes) {
      const { quota, usage } = await navigator.storage.estimate()
      if (quota === undefined || usage === undefined || quota - usage >= bytes) return
      throw new HubError(
        `[hub] this browser gives the page ${formatBytes(quota - usage)} more, ${formatBytes(bytes)} are needed: make room on the disk, or delete data of this site`,
      )
    },
    folder(commit): ModelFolder {
      const blobAt = async (path: string) => {
        const etag = (await readSnapshot(commit))[path]
        return etag === undefined ? undefined : blobOf(etag)
      }
      return {
        name: repo.id,
        text: async (path) => (await blobAt(path))?.text(),
        async open(path) {
          const blob = await blobAt(path)
          return blob && blobAccess(blob, `${repo.id}/${path}`)
        },
        async list(folder) {
          const prefix = folder === '' || folder === '.' ? '' : `${folder.replace(/\/+$/, '')}/`
          const below = Object.keys(await readSnapshot(commit)).filter((path) => path.startsWith(prefix))
          return [...new Set(below.map((path) => path.slice(prefix.length).split('/')[0]))]
        },
      }
    },
  }
}

async function originFolder(): Promise<FileSystemDirectoryHandle> {
  const refuse = (reason: string) =>
    new HubError(
      `[hub] this page has no storage for models (${reason}): serve it over https or from localhost, outside private windows; or put the model on your server and give its URL`,
    )
  if (typeof navigator === 'undefined' || !navigator.storage?.getDirectory)
    throw refuse('no origin private file system')
  try {
    return await navigator.storage.getDirectory()
  } catch (error) {
    throw refuse(messageOf(error))
  }
}

const subfolder = (folder: FileSystemDirectoryHandle, name: string) =>
  folder.getDirectoryHandle(name, { create: true })

const isMissing = (error: unknown): boolean => (error as { name?: unknown }).name === 'NotFoundError'

async function existing(
  folder: FileSystemDirectoryHandle,
  name: string,
): Promise<FileSystemDirectoryHandle | undefined> {
  return folder.getDirectoryHandle(name).catch((error) => {
    if (isMissing(error)) return undefined
    throw error
  })
}

async function readText(
  folder: FileSystemDirectoryHandle | undefined,
  name: string,
): Promise<string | undefined> {
  try {
    return await (await (await folder?.getFileHandle(name))?.getFile())?.text()
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** What is written appears when the stream is closed, as a whole. @throws HubError where there is no room */
async function write(
  folder: FileSystemDirectoryHandle,
  name: string,
  content: string | Uint8Array<ArrayBuffer>[],
): Promise<void> {
  try {
    const stream = await (await folder.getFileHandle(name, { create: true })).createWritable()
    try {
      for (const part of typeof content === 'string' ? [content] : content) await stream.write(part)
      await stream.close()
    } catch (error) {
      await stream.abort().catch(() => {})
      throw error
    }
  } catch (error) {
    const isFull = (error as { name?: unknown }).name === 'QuotaExceededError'
    throw new HubError(
      `[hub] the browser's storage ${isFull ? 'is full: make room on the disk, or delete data of this site' : `failed: ${messageOf(error)}`}`,
      { cause: error },
    )
  }
}

const writeText = (folder: FileSystemDirectoryHandle, name: string, text: string) => write(folder, name, text)

function withLock<T>(name: string, action: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  return navigator.locks.request(`tunesmith-hub/${name}`, { signal }, action)
}

/** Whole pieces are kept when a download ends early; what came of the piece under way is written on `close`. */
async function openPartial(folder: FileSystemDirectoryHandle): Promise<PartialBlob> {
  let pieces = 0 // whole ones
  let parts: Uint8Array<ArrayBuffer>[] = [] // of the piece after them
  let partBytes = 0
  const pieceSize = async (n: number) =>
    (await folder.getFileHandle(String(n)).catch(() => undefined))?.getFile().then(({ size }) => size)
  for (let size: number | undefined; (size = await pieceSize(pieces)) !== undefined; pieces++) {
    if (size === PIECE) continue
    const last = await (await folder.getFileHandle(String(pieces))).getFile()
    parts = [new Uint8Array(await last.arrayBuffer())]
    partBytes = last.size
    break
  }
  let isComplete = false
  const flush = async () => {
    if (partBytes > 0) await write(folder, String(pieces), parts)
  }
  return {
    get size() {
      return pieces * PIECE + partBytes
    },
    async *read() {
      for (let n = 0; n < pieces; n++) {
        const piece = await (await folder.getFileHandle(String(n))).getFile()
        yield new Uint8Array(await piece.arrayBuffer())
      }
      yield* parts
    },
    async append(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const part = bytes.slice(at, at + PIECE - partBytes)
        parts.push(part)
        partBytes += part.length
        at += part.length
        if (partBytes < PIECE) continue
        await flush()
        pieces++
        parts = []
        partBytes = 0
      }
    },
    async restart() {
      for (let n = pieces; n >= 0; n--)
        await folder.removeEntry(String(n)).catch((error) => {
          if (!isMissing(error)) throw error
        })
      pieces = 0
      parts = []
      partBytes = 0
    },
    async complete() {
      await flush()
      await writeText(folder, COMPLETE, String(pieces * PIECE + partBytes))
      isComplete = true
    },
    async close() {
      if (!isComplete) await flush().catch(() => {})
    },
  }
}
