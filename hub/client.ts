import { type Connection, connect, networkError } from './connection.ts'
import { HubError, messageOf, oneLine } from './errors.ts'
import type { ConnectionOptions, HubSettings } from './options.ts'
import { checkRemoteFile, type RemoteFile } from './remote-file.ts'
import { apiPath, isCommit, type Repo, repoPath, urlPath } from './repo-id.ts'

/** What this library asks of a Hub about one repository. */
export interface HubClient {
  readonly connection: Connection
  /** What the Hub says about the repository at a revision, as it says it. */
  info(revision: string): Promise<Record<string, unknown>>
  /** The commit that a branch or tag stands for. */
  resolveCommit(revision: string): Promise<string>
  listFiles(revision: string): Promise<RemoteFile[]>
  exists(revision: string, path: string): Promise<boolean>
  /**
   * The content of a file from byte `offset` on, as it arrives. A server may begin at 0 all the same: `offset` of what comes
   * says where. Ends early only with an error.
   */
  open(commit: string, file: RemoteFile, offset: number): Promise<RemoteContent>
}

export interface RemoteContent {
  offset: number
  chunks: AsyncIterable<Uint8Array>
}

/** A client over `@huggingface/hub` and plain HTTP. */
export function hubClient(repo: Repo, settings: HubSettings, options: ConnectionOptions): HubClient {
  const { signal } = options
  const connection = connect(repo, settings, options)
  const { endpoint, host } = connection
  const ask = async <T>(what: string, request: () => Promise<T>): Promise<T> => {
    try {
      return await request()
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof HubError) throw error
      throw new HubError(
        `[hub] ${what} from ${host} failed: ${oneLine(messageOf(error))}; try again, or check HF_ENDPOINT`,
        { code: 'BadAnswer', cause: error },
      )
    }
  }
  const info = (revision: string) =>
    ask(`information about ${repo.id}`, async () => {
      const url = `${endpoint}/${apiPath(repo)}/revision/${encodeURIComponent(revision)}`
      const answer: unknown = await (await connection.fetch(url)).json()
      if (typeof answer !== 'object' || answer === null) throw new Error('the answer is no object')
      return answer as Record<string, unknown>
    })
  return {
    connection,
    info,
    async resolveCommit(revision) {
      const { sha } = await info(revision)
      if (typeof sha === 'string' && isCommit(sha)) return sha
      throw new HubError(`[hub] ${host} names no commit for ${repo.id}; check HF_ENDPOINT`, {
        code: 'BadAnswer',
      })
    },
    listFiles: (revision) =>
      ask(`the list of files of ${repo.id}`, async () => {
        const { listFiles } = await import('@huggingface/hub')
        const files: RemoteFile[] = []
        const entries = listFiles({
          repo: { type: repo.type, name: repo.id },
          recursive: true,
          revision: encodeURIComponent(revision),
          hubUrl: endpoint,
          fetch: connection.fetch,
        })
        for await (const { type, path, size, oid, lfs } of entries)
          if (type === 'file')
            files.push(
              checkRemoteFile({
                path,
                size: lfs?.size ?? size,
                etag: lfs?.oid ?? oid ?? '',
                blobId: oid ?? '',
                lfs: lfs !== undefined,
              }),
            )
        return files
      }),
    exists: (revision, path) =>
      ask(path, async () => {
        try {
          await connection.fetch(fileUrl(endpoint, repo, revision, path), { method: 'HEAD' })
          return true
        } catch (error) {
          if (error instanceof HubError && /NotFound$/.test(error.code ?? '')) return false
          throw error
        }
      }),
    async open(commit, { path, size }, offset) {
      // Plain HTTP rather than Xet's chunks: it can be continued by range after a cut. Compression would shift the ranges.
      const headers: Record<string, string> = { 'Accept-Encoding': 'identity' }
      if (offset > 0) headers.Range = `bytes=${offset}-`
      const response = await ask(path, () =>
        connection.fetch(fileUrl(endpoint, repo, commit, path), { headers }),
      )
      const begin = response.status === 206 ? rangeBegin(response, size) : 0
      if (begin !== 0 && begin !== offset) {
        await response.body?.cancel().catch(() => {})
        throw new HubError(`[hub] ${host} sent another part of ${path} than asked for; try again`, {
          code: 'BadAnswer',
        })
      }
      return { offset: begin, chunks: chunksOf(response, host, settings.readTimeout, signal) }
    },
  }
}

/** Where a file is for everyone who may read it. */
export function fileUrl(endpoint: string, repo: Repo, revision: string, path: string): string {
  return `${endpoint}/${repoPath(repo)}/resolve/${encodeURIComponent(revision)}/${urlPath(path)}`
}

/** The first byte of a partial answer about a file of `size` bytes; NaN if it is about another file. */
function rangeBegin(response: Response, size: number): number {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '')
  return range && (range[2] === '*' || Number(range[2]) === size) ? Number(range[1]) : Number.NaN
}

/** @throws HubError `Interrupted` where the connection is cut, or nothing comes for `timeout` milliseconds. */
async function* chunksOf(
  response: Response,
  host: string,
  timeout: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (!reader) return
  /** The next piece, or an error if it does not come in time. */
  const next = async () => {
    let timer: ReturnType<typeof setTimeout> | undefined
    const stalled = new Promise<never>((_, reject) => {
      const text = `[hub] nothing came from ${host} for ${timeout / 1000} s`
      timer = setTimeout(() => reject(new HubError(text, { code: 'Interrupted' })), timeout)
    })
    try {
      return await Promise.race([reader.read(), stalled])
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof HubError) throw error
      const { message } = networkError(host, error)
      throw new HubError(message, { code: 'Interrupted', cause: error })
    } finally {
      clearTimeout(timer)
    }
  }
  try {
    for (;;) {
      const { done, value } = await next()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}
