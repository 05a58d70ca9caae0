import { downloadFile, listFiles, modelInfo } from '@huggingface/hub'
import { HubError, messageOf, quote } from './errors.ts'
import { isCommit } from './repo-id.ts'
import { isInnerPath } from './safetensors/checkpoint.ts'

/** A file of a repository at a commit. */
export interface RemoteFile {
  path: string
  /** Bytes. */
  size: number
  /** Name of its content in the cache: the sha256 of a large file, the git blob id of any other. */
  etag: string
}

/** What this library asks of a Hub about one model. */
export interface HubClient {
  /** The commit that a branch or tag stands for. */
  resolveCommit(revision: string): Promise<string>
  listFiles(commit: string): Promise<RemoteFile[]>
  /** The content of a file, as it arrives. Ends early only with an error. */
  open(commit: string, file: RemoteFile): AsyncIterable<Uint8Array>
}

export interface HubClientOptions {
  /** `https://huggingface.co`, or a mirror. */
  endpoint: string
  token: string | undefined
  signal: AbortSignal | undefined
}

/**
 * A client of one model's repository, over `@huggingface/hub`. What that library leaves to its callers is done here:
 * errors are one line that says what to do, a request can be aborted, and the token goes to the endpoint alone.
 */
export function hubClient(name: string, options: HubClientOptions): HubClient {
  const { token, signal } = options
  const endpoint = options.endpoint.replace(/\/+$/, '')
  const host = hostOf(endpoint)
  if (token !== undefined && !/^hf_[\x21-\x7e]+$/.test(token))
    throw new HubError(
      '[hub] the access token must begin with hf_; copy it again from the Hub, or unset HF_TOKEN',
    )
  const common = {
    hubUrl: endpoint,
    fetch: guardedFetch(name, endpoint, options),
    ...(token === undefined ? {} : { accessToken: token }),
  }
  const ask = async <T>(what: string, request: () => Promise<T>): Promise<T> => {
    try {
      return await request()
    } catch (error) {
      signal?.throwIfAborted()
      if (error instanceof HubError) throw error
      const reason = messageOf(error)
      if (reason.startsWith('[hub]')) throw new HubError(reason) // a download stream keeps only the text
      throw new HubError(
        `[hub] ${what} from ${host} failed: ${oneLine(reason)}; try again, or check HF_ENDPOINT`,
      )
    }
  }
  return {
    resolveCommit: (revision) =>
      ask(`information about ${name}`, async () => {
        const { sha } = await modelInfo({ ...common, name, revision, additionalFields: ['sha'] })
        if (typeof sha !== 'string' || !isCommit(sha)) throw new Error('the answer names no commit')
        return sha
      }),
    listFiles: (commit) =>
      ask(`the list of files of ${name}`, async () => {
        const files: RemoteFile[] = []
        const entries = listFiles({
          ...common,
          repo: { type: 'model', name },
          recursive: true,
          revision: commit,
        })
        for await (const { type, path, size, oid, lfs } of entries)
          if (type === 'file')
            files.push(checkFile({ path, size: lfs?.size ?? size, etag: lfs?.oid ?? oid ?? '' }))
        return files
      }),
    async *open(commit, file) {
      const { path, size, etag } = file
      const url = `${endpoint}/${name}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`
      const stream = await ask(path, async () => {
        // Plain HTTP rather than Xet's chunks: it can be continued by range after a cut.
        const downloadInfo = { size, etag, url }
        const repo = { type: 'model', name } as const
        const blob = await downloadFile({ ...common, repo, path, revision: commit, xet: false, downloadInfo })
        return blob?.stream().getReader()
      })
      if (!stream) throw new HubError(`[hub] ${name} has no file ${quote(path)}`)
      try {
        for (;;) {
          const { done, value } = await ask(path, () => stream.read())
          if (done) return
          yield value
        }
      } finally {
        await stream.cancel().catch(() => {})
      }
    },
  }
}

function hostOf(endpoint: string): string {
  try {
    return new URL(endpoint).host
  } catch {
    throw new HubError(`[hub] the endpoint ${quote(endpoint)} is not a URL; check HF_ENDPOINT`)
  }
}

/** A Hub's answers are not trusted: paths and etags become file names. */
function checkFile(file: RemoteFile): RemoteFile {
  const { path, size, etag } = file
  if (!isInnerPath(path)) throw new HubError(`[hub] refuses the file name ${quote(path)} from the server`)
  if (!/^[0-9a-f]{40,64}$/.test(etag) || !Number.isSafeInteger(size) || size < 0)
    throw new Error(`${quote(path)} has no valid hash or size`)
  return file
}

function guardedFetch(name: string, endpoint: string, { token, signal }: HubClientOptions): typeof fetch {
  const { host, origin } = new URL(endpoint)
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init?.headers)
    // fetch drops the header by itself where a redirect leaves the origin, but not where a link of the server's does.
    if (url.origin !== origin && headers.get('authorization') === `Bearer ${token}`)
      headers.delete('authorization')
    let response: Response
    try {
      response = await fetch(url, { ...init, headers, signal })
    } catch (error) {
      signal?.throwIfAborted()
      throw new HubError(
        `[hub] cannot reach ${host} (${networkReason(error)}); check the network, set HF_ENDPOINT to a mirror, or give a local folder`,
        { cause: error },
      )
    }
    if (response.ok) return response
    await response.body?.cancel()
    throw refusal(response, name, endpoint, host, token !== undefined)
  }
}

function networkReason(error: unknown): string {
  const cause = (error as { cause?: { code?: unknown } }).cause
  return typeof cause?.code === 'string' ? cause.code : oneLine(messageOf(cause ?? error))
}

function refusal(
  response: Response,
  name: string,
  endpoint: string,
  host: string,
  hasToken: boolean,
): HubError {
  const { status } = response
  const code = response.headers.get('x-error-code')
  const token = hasToken ? 'the token given may not read it' : 'for a private model set HF_TOKEN'
  const fail = (text: string) => new HubError(`[hub] ${text}`, { status })
  if (status === 403 || code === 'GatedRepo')
    return fail(
      `access to ${name} is refused (${status}): accept its terms at ${endpoint}/${name} and set HF_TOKEN`,
    )
  if (code === 'RevisionNotFound')
    return fail(`${name} has no such revision on ${host}; give a branch, tag or commit`)
  if (code === 'EntryNotFound') return fail(`${name} has no such file on ${host}`)
  if (status === 401 || status === 404)
    return fail(
      `${quote(name)} is neither a folder here nor a model on ${host} (${status}); check the id, ${token}`,
    )
  if (status === 429) return fail(`${host} asks to slow down (429); wait a few minutes, or set HF_TOKEN`)
  return fail(`${host} answered ${status} for ${name}; try again later`)
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, 200)
}
