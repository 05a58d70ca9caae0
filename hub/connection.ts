import { HubError, type HubErrorCode, messageOf, oneLine } from './errors.ts'
import type { ConnectionOptions, HubSettings } from './options.ts'
import { type Repo, repoPath } from './repo-id.ts'
import { isPassing, withRetries } from './retry.ts'

/** Requests to one Hub about one repository. */
export interface Connection {
  /** Without a slash at its end. */
  readonly endpoint: string
  readonly host: string
  /**
   * Like the global `fetch`, with what all requests need: the token where it belongs, a limit on waiting, repetition of what
   * failed for a passing reason. A refusal is an error, one line that says what to do.
   *
   * @throws HubError; the signal's reason if it was aborted.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>
}

type ConnectOptions = Pick<ConnectionOptions, 'signal' | 'retries' | 'retryDelay' | 'onNotice'>

/** @throws HubError for an endpoint that is no URL, or a token that no request can carry. */
export function connect(repo: Repo, settings: HubSettings, options: ConnectOptions): Connection {
  const endpoint = settings.endpoint.replace(/\/+$/, '')
  const { host, origin, protocol, username, password } = parseUrl(endpoint)
  if (!/^https?:$/.test(protocol))
    throw new HubError(`[hub] the endpoint must begin with https://; check HF_ENDPOINT`)
  if (username || password)
    throw new HubError('[hub] the endpoint must not hold a name or password; give a token in HF_TOKEN')
  const { token, answerTimeout } = settings
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token))
    throw new HubError(
      '[hub] the access token has characters that no token has; copy it again from the Hub, or unset HF_TOKEN',
    )
  const { signal } = options
  const hub: HubNames = { repo, endpoint, host, token }

  async function attempt(input: string | URL | Request, init: RequestInit): Promise<Response> {
    const url = new URL(input instanceof Request ? input.url : input)
    const headers = new Headers(init.headers)
    // What a library or a link of the server's would send is not trusted: the token goes to the endpoint, else nowhere.
    // fetch itself drops the header where a redirect leaves the origin.
    headers.delete('authorization')
    if (token !== undefined && url.origin === origin) headers.set('authorization', `Bearer ${token}`)
    const asks = ['GET', 'HEAD'].includes(init.method ?? 'GET')
    const limit = new AbortController() // an upload answers when all is sent, so only questions have a limit
    const timer = asks ? setTimeout(() => limit.abort(), answerTimeout) : undefined
    const signals = [limit.signal, signal, init.signal].filter((one) => one != null)
    let response: Response
    try {
      response = await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) })
    } catch (error) {
      signal?.throwIfAborted()
      init.signal?.throwIfAborted()
      if (limit.signal.aborted)
        throw new HubError(`[hub] ${host} did not answer within ${answerTimeout / 1000} s`, {
          code: 'Interrupted',
        })
      throw networkError(host, error)
    } finally {
      clearTimeout(timer)
    }
    if (response.ok) return response
    throw await refusal(response, hub)
  }

  return {
    endpoint,
    host,
    fetch: (input, init = {}) =>
      withRetries(() => attempt(input, init), { ...options, when: (error) => mayRepeat(error, init.method) }),
  }
}

/** A POST that broke off may have been carried out: it is repeated only where the server said that it was not. */
function mayRepeat(error: Error, method = 'GET'): boolean {
  if (!isPassing(error)) return false
  const { status } = error as HubError
  return method !== 'POST' || status === 429 || status === 503
}

function parseUrl(endpoint: string): URL {
  try {
    return new URL(endpoint)
  } catch {
    throw new HubError(`[hub] the endpoint ${JSON.stringify(endpoint)} is not a URL; check HF_ENDPOINT`)
  }
}

/** Codes of Node's errors where no connection came about. */
const NO_CONNECTION =
  /^(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|.*CERT.*|.*SSL.*|.*VERIFY.*)$/

/** An error of fetch, or of reading what came. */
export function networkError(host: string, error: unknown): HubError {
  const cause = (error as { cause?: { code?: unknown } }).cause
  const code = typeof cause?.code === 'string' ? cause.code : undefined
  const reason = code ?? oneLine(messageOf(cause ?? error))
  if (code !== undefined && !NO_CONNECTION.test(code))
    return new HubError(`[hub] the connection to ${host} was cut (${reason})`, {
      code: 'Interrupted',
      cause: error,
    })
  return new HubError(
    `[hub] cannot reach ${host} (${reason}); check the network, set HF_ENDPOINT to a mirror, or give a local folder`,
    { code: 'Unreachable', cause: error },
  )
}

interface HubNames {
  repo: Repo
  endpoint: string
  host: string
  token: string | undefined
}

/** What a refusal means, and what to do about it. */
async function refusal(response: Response, { repo, endpoint, host, token }: HubNames): Promise<HubError> {
  const { status, headers } = response
  const said = await serverMessage(response)
  const retryAfter = secondsToWait(headers)
  const code = headers.get('x-error-code') as HubErrorCode | null
  const fail = (text: string, known: HubErrorCode | undefined = undefined) =>
    // A server may repeat what it was sent.
    new HubError(token === undefined ? `[hub] ${text}` : `[hub] ${text}`.replaceAll(token, 'hf_***'), {
      status,
      code: known,
      retryAfter,
    })
  // Where the answer came from, if a redirect led elsewhere; the rest of such an address is a secret.
  const from = response.url ? new URL(response.url).host : host
  if (from !== host && status !== 429)
    return fail(`${from}, which keeps files of ${host}, answered ${status} for ${repo.id}; try again`)
  const name = JSON.stringify(repo.id)
  const page = `${endpoint}/${repoPath(repo)}`
  const tokens = `${endpoint}/settings/tokens`
  if (code === 'GatedRepo' || (status === 403 && /gated|accept/i.test(said)))
    return fail(
      token === undefined
        ? `access to ${repo.id} is refused (${status}), it is gated: log in and accept its terms at ${page}, then set HF_TOKEN to a token from ${tokens}`
        : `access to ${repo.id} is refused (${status}), it is gated: accept its terms at ${page} with the account of the token in HF_TOKEN, or wait until its owners agree`,
      'GatedRepo',
    )
  if (code === 'RevisionNotFound')
    return fail(`${repo.id} has no such revision on ${host}; give a branch, tag or commit`, code)
  if (code === 'EntryNotFound') return fail(`${repo.id} has no such file on ${host}`, code)
  if (status === 403)
    return fail(
      `access to ${repo.id} is refused (403${said && `: ${said}`}); ${token === undefined ? 'set HF_TOKEN to' : 'make'} a token that may do this at ${tokens}`,
    )
  if (status === 401 && token !== undefined && /invalid credentials/i.test(said))
    return fail(`${host} does not know the access token (401); make a new one at ${tokens} and set HF_TOKEN`)
  if (status === 401 || status === 404) {
    const hint =
      token === undefined ? `for a private one set HF_TOKEN (${tokens})` : 'the token given may not read it'
    const what = repo.type === 'model' ? 'neither a folder here nor a model' : `no ${repo.type}`
    return fail(`${name} is ${what} on ${host} (${status}); check the id, ${hint}`, 'RepoNotFound')
  }
  if (status === 429)
    return fail(
      `${host} asks to slow down (429)${retryAfter ? `, for ${retryAfter} s` : ''}; wait, or set HF_TOKEN for higher limits`,
    )
  const reason = said ? `: ${said}` : ''
  return fail(`${host} answered ${status} for ${repo.id}${reason}${status >= 500 ? '; try again later' : ''}`)
}

/** What the server says about its refusal, as one line; empty for pages in HTML. */
async function serverMessage(response: Response): Promise<string> {
  const header = response.headers.get('x-error-message')
  const isJson = response.headers.get('content-type')?.startsWith('application/json')
  const length = Number(response.headers.get('content-length') ?? Number.POSITIVE_INFINITY)
  if (header !== null || !isJson || length > 10_000) {
    await response.body?.cancel().catch(() => {})
    return oneLine(header ?? '')
  }
  const body: unknown = await response.json().catch(() => undefined)
  const { error, message } = (body ?? {}) as { error?: unknown; message?: unknown }
  return oneLine(String(error ?? message ?? ''))
}

/** `Retry-After` in seconds or as a date; else the Hub's `RateLimit: "api";r=0;t=55`. */
function secondsToWait(headers: Headers): number | undefined {
  const after = headers.get('retry-after')?.trim()
  if (after) {
    const seconds = /^\d+$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000
    if (Number.isFinite(seconds)) return Math.max(0, Math.ceil(seconds))
  }
  const [, rest, seconds] = /r=(\d+)\s*;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '') ?? []
  return rest === '0' ? Number(seconds) : undefined
}
