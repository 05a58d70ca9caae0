import { hubClient } from './client.ts'
import { contentHash } from './content-hash.ts'
import { hubSettings } from './environment.ts'
import { HubError, messageOf, oneLine, quote } from './errors.ts'
import { matchFiles } from './model-files.ts'
import type { ConnectionOptions, DownloadProgress, SnapshotOptions } from './options.ts'
import { checkTogether, isSafePath, type RemoteFile } from './remote-file.ts'
import { checkRepo, checkRevision, repoPath } from './repo-id.ts'

/** A file to be uploaded: its path in the repository, and what is in it. */
export interface UploadFile {
  path: string
  content: string | Uint8Array | Blob
}

export interface UploadOptions extends ConnectionOptions, Pick<SnapshotOptions, 'include' | 'exclude'> {
  /** Of the commit: a title, and what else there is to say. Default `Upload with tunesmith`. */
  message?: string
  description?: string
  /** Folder in the repository that the files go to. Default: its top. */
  pathInRepo?: string
  /** Patterns of files in the repository that the same commit removes, unless they are uploaded. */
  deletePatterns?: string | readonly string[]
  /** Opens a pull request instead of writing to the branch. */
  createPr?: boolean
  /** The commit that the branch must still be at. */
  parentCommit?: string
  onProgress?: (progress: DownloadProgress) => void
}

export interface CommitInfo {
  /** The new commit, or the one that was there if nothing differs. */
  commit: string
  url: string
  pullRequestUrl: string | undefined
  /** Paths in the repository that the commit changed or added, and that it removed. */
  uploaded: string[]
  deleted: string[]
}

/**
 * Uploads files as one commit, large ones through git LFS. What the repository has already is left out; if that is all,
 * there is no commit.
 *
 * ```ts
 * await createRepo('me/my-classifier', { existOk: true })
 * await upload('me/my-classifier', 'out/my-classifier', { message: 'First try' })
 * await upload('me/my-classifier', [{ path: 'README.md', content: await formatModelCard(card) }])
 * ```
 *
 * @param source a folder (Node), of which `.git` and caches are left out; or files
 * @throws HubError, one line with the fix, for a folder that is not there, a token that may not write, a parent commit that is
 * not the last one any more. The signal's reason if it was aborted. Then nothing was committed.
 */
export async function upload(
  id: string,
  source: string | readonly UploadFile[],
  options: UploadOptions = {},
): Promise<CommitInfo> {
  const repo = checkRepo(id, options.repoType)
  const settings = await hubSettings(options)
  if (settings.offline) throw new HubError('[hub] cannot upload offline; unset HF_HUB_OFFLINE')
  const revision = checkRevision(options.revision ?? 'main')
  const client = hubClient(repo, settings, options)
  const { endpoint, host, fetch } = client.connection
  if (settings.token === undefined)
    throw new HubError(
      `[hub] uploading to ${id} needs a token that may write: make one at ${endpoint}/settings/tokens and set HF_TOKEN`,
    )
  const files = await filesOf(source, options)
  const there = new Map((await client.listFiles(revision)).map((file) => [file.path, file]))
  const changed: { path: string; content: Blob }[] = []
  for (const file of files) {
    options.signal?.throwIfAborted()
    if (!(await isSame(file.content, there.get(file.path)))) changed.push(file)
  }
  const kept = new Set(files.map(({ path }) => path))
  const deleted = options.deletePatterns
    ? matchFiles([...there.keys()], { include: options.deletePatterns }).filter((path) => !kept.has(path))
    : []
  const uploaded = changed.map(({ path }) => path)
  const page = `${endpoint}/${repoPath(repo)}`
  if (changed.length + deleted.length === 0) {
    const commit = await client.resolveCommit(revision)
    return { commit, url: `${page}/commit/${commit}`, pullRequestUrl: undefined, uploaded, deleted }
  }
  const { commit: commitFiles } = await import('@huggingface/hub')
  try {
    const result = await commitFiles({
      repo: { type: repo.type, name: repo.id },
      hubUrl: endpoint,
      fetch: reportUploads(fetch, changed, options.onProgress),
      title: options.message ?? 'Upload with tunesmith',
      description: options.description,
      branch: revision,
      parentCommit: options.parentCommit,
      isPullRequest: options.createPr,
      abortSignal: options.signal,
      useXet: false, // plain LFS, which every Hub has
      operations: [
        ...changed.map(({ path, content }) => ({ operation: 'addOrUpdate' as const, path, content })),
        ...deleted.map((path) => ({ operation: 'delete' as const, path })),
      ],
    })
    if (!result?.commit.oid) throw new Error('the answer names no commit')
    const { commit, pullRequestUrl } = result
    return { commit: commit.oid, url: commit.url, pullRequestUrl, uploaded, deleted }
  } catch (error) {
    options.signal?.throwIfAborted()
    if (error instanceof HubError && error.status === 412)
      throw new HubError(`[hub] ${id} has newer commits than parentCommit; look at them, then upload again`, {
        status: 412,
      })
    if (error instanceof HubError) throw error
    throw new HubError(
      `[hub] uploading to ${id} on ${host} failed: ${oneLine(messageOf(error))}; try again`,
      {
        cause: error,
      },
    )
  }
}

/** What nobody means to publish. */
const NEVER = ['.git/', '*/.git/', '.cache/huggingface/', '*/.cache/huggingface/', '.DS_Store', '*/.DS_Store']

async function filesOf(
  source: string | readonly UploadFile[],
  { include, exclude = [], pathInRepo = '' }: UploadOptions,
): Promise<{ path: string; content: Blob }[]> {
  const all =
    typeof source === 'string' ? await (await import('./node-upload-folder.ts')).uploadFolder(source) : source
  const leftOut = [...(typeof exclude === 'string' ? [exclude] : exclude), ...NEVER]
  const chosen = new Set(
    matchFiles(
      all.map(({ path }) => path),
      { include, exclude: leftOut },
    ),
  )
  const prefix = pathInRepo && `${pathInRepo.replace(/\/+$/, '')}/`
  const files: { path: string; content: Blob }[] = []
  for (const { path, content } of all) {
    if (!chosen.has(path)) continue
    if (!isSafePath(prefix + path))
      throw new HubError(`[hub] ${quote(prefix + path)} is no path in a repository`)
    const blob = content instanceof Blob ? content : new Blob([content as string | Uint8Array<ArrayBuffer>])
    files.push({ path: prefix + path, content: blob })
  }
  if (files.length === 0)
    throw new HubError(
      `[hub] there is nothing to upload${typeof source === 'string' ? ` in ${source}` : ''}; check include and exclude`,
    )
  checkTogether(
    files.map(({ path }) => path),
    true,
  )
  return files
}

/** Whether the repository has this very content. */
async function isSame(content: Blob, there: RemoteFile | undefined): Promise<boolean> {
  if (!there || there.size !== content.size) return false
  const hash = await contentHash(there.etag, there.size)
  const reader = content.stream().getReader()
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return hash.digest() === there.etag
    hash.update(value)
  }
}

/** Counts what large files send: whole, or the parts that the Hub asks for. Small ones go with the commit itself. */
function reportUploads(
  fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>,
  files: readonly { path: string; content: Blob }[],
  onProgress: UploadOptions['onProgress'],
): typeof globalThis.fetch {
  const sizes = new Map(files.map(({ path, content }) => [path, content.size]))
  const totalBytes = files.reduce((sum, { content }) => sum + content.size, 0)
  const loaded = new Map<string, number>()
  let bytes = 0
  return async (input, init) => {
    const response = await fetch(input, init)
    const { progressHint } = (init ?? {}) as { progressHint?: { path?: string } }
    const path = progressHint?.path
    if (onProgress && path !== undefined && init?.body instanceof Blob) {
      bytes += init.body.size
      loaded.set(path, (loaded.get(path) ?? 0) + init.body.size)
      onProgress({
        file: path,
        fileBytes: sizes.get(path) ?? 0,
        fileLoaded: loaded.get(path) ?? 0,
        bytes,
        totalBytes,
      })
    }
    return response
  }
}
