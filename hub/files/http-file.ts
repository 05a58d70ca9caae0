import { HubError, messageOf } from '../errors.ts'
import { checkRange, type RandomAccess } from './random-access.ts'

export interface UrlOptions {
  /** Sent with every request; fetch drops `authorization` where a redirect leaves the origin. */
  headers?: Readonly<Record<string, string>>
  /** In place of the global fetch: a proxy, a client with credentials, a test. */
  fetch?: typeof fetch
  signal?: AbortSignal
}

/** Read with the first request, which is there for the size: most headers lie within. */
const FIRST_BYTES = 64 * 1024
/** Requests of one range before giving up; each goes on where the last one was cut. */
const ATTEMPTS = 4

/**
 * Opens a file on a server for ranged reads (RFC 9110, section 14): its first 64 KiB are fetched with its size, the rest
 * when it is asked for. The file is held to the ETag it had at first, so that parts of two versions never mix.
 *
 * @throws HubError, here and from the reads: no such file, a server without ranges, a file that changed meanwhile, a
 * connection that fails four times. The signal's reason if it was aborted.
 */
export async function openUrl(url: string, options: UrlOptions = {}): Promise<RandomAccess> {
  const name = withoutQuery(url)
  const { signal } = options
  const request = options.fetch ?? fetch
  let etag: string | null = null

  async function get(begin: number, end: number): Promise<Response> {
    const headers = { ...options.headers, Range: `bytes=${begin}-${end - 1}`, 'Accept-Encoding': 'identity' }
    const response = await request(url, {
      headers,
      signal: signal ?? null,
    })
    if (response.status === 206) return response
    await response.body?.cancel()
    throw refusal(name, response.status)
  }

  /** Fills `dest`, going on where a connection was cut. */
  async function readInto(offset: number, dest: Uint8Array): Promise<void> {
    checkRange(name, size, offset, dest.length)
    const known = first.subarray(offset, offset + dest.length)
    dest.set(known)
    let done = known.length
    for (let attempt = 1; done < dest.length; attempt++) {
      try {
        const response = await get(offset + done, offset + dest.length)
        checkSame(name, response, { size, etag, begin: offset + done })
        for await (const chunk of chunksOf(response)) {
          if (done + chunk.length > dest.length)
            throw new HubError(`[hub] ${name}: more bytes came than asked for`)
          dest.set(chunk, done)
          done += chunk.length
        }
        if (done < dest.length) throw new Error('the connection was cut')
      } catch (error) {
        await retryOrThrow(error, attempt)
      }
    }
  }

  async function retryOrThrow(error: unknown, attempt: number): Promise<void> {
    signal?.throwIfAborted()
    const final = error instanceof HubError && !(error.status !== undefined && isPassing(error.status))
    if (final) throw error
    if (attempt === ATTEMPTS)
      throw error instanceof HubError
        ? error
        : new HubError(`[hub] ${name} cannot be read: ${messageOf(error)}; check the network and try again`, {
            cause: error,
          })
    await new Promise((resolve) => setTimeout(resolve, 100 * 2 ** attempt))
  }

  let size = 0
  let first = new Uint8Array(0)
  for (let attempt = 1; ; attempt++) {
    try {
      const response = await get(0, FIRST_BYTES)
      size = sizeOf(name, response)
      etag = strongEtag(response)
      const bytes = new Uint8Array(await response.arrayBuffer())
      if (bytes.length !== Math.min(size, FIRST_BYTES)) throw new Error('the connection was cut')
      first = bytes
      break
    } catch (error) {
      if (error instanceof HubError && error.status === 416) break // an empty file has no first byte
      await retryOrThrow(error, attempt)
    }
  }
  return {
    name,
    size,
    readInto,
    async read(offset, length) {
      checkRange(name, size, offset, length)
      if (offset + length <= first.length) return first.subarray(offset, offset + length)
      const bytes = new Uint8Array(length)
      await readInto(offset, bytes)
      return bytes
    },
    close: async () => {},
  }
}

async function* chunksOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (!reader) return
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    await reader.cancel().catch(() => {})
  }
}

/** Signed addresses hold secrets in their query. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}

/** The whole size, from `bytes 0-9/1000`. */
function sizeOf(name: string, response: Response): number {
  const [, begin, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get('content-range') ?? '') ?? []
  if (begin !== '0' || !Number.isSafeInteger(Number(size)))
    throw new HubError(`[hub] ${name}: the server does not say how long the file is; download it first`)
  return Number(size)
}

/** By the ETag that comes back, since a page may not send conditions to every server. */
function checkSame(
  name: string,
  response: Response,
  { size, etag, begin }: { size: number; etag: string | null; begin: number },
): void {
  const range = response.headers.get('content-range') ?? ''
  if (!range.startsWith(`bytes ${begin}-`) || !range.endsWith(`/${size}`) || strongEtag(response) !== etag)
    throw new HubError(`[hub] ${name} changed while it was read, or came in another range; open it again`)
}

/** A weak one promises too little. */
function strongEtag(response: Response): string | null {
  const etag = response.headers.get('etag')
  return etag?.startsWith('W/') ? null : etag
}

const isPassing = (status: number): boolean => status === 429 || status === 408 || status >= 500

function refusal(name: string, status: number): HubError {
  const reason =
    status === 200
      ? 'its server gives no parts of files (no Range requests); download it first'
      : status === 401 || status === 403
        ? `access is refused (${status}); give an authorization header`
        : status === 404
          ? 'there is no such file on the server (404)'
          : `the server answered ${status}`
  return new HubError(`[hub] ${name}: ${reason}`, { status })
}
