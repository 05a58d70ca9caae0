/**
 * Something outside the program is at fault: a file that is missing or malformed, a wrong id, a network that does
 * not answer. The message is one line that names the culprit and, where there is one, the fix. Commands print it
 * and exit with code 2; every other error is a defect and keeps its stack.
 */
export class InputError extends Error {
  override name = 'InputError'
}

/** A safetensors file, shard index or tensor that cannot be read or written as asked. */
export class SafetensorsError extends InputError {
  override name = 'SafetensorsError'
}

/**
 * Why the Hub, or the cache, did not give what was asked for. The names with `NotFound` and `GatedRepo` are the Hub's own
 * (`X-Error-Code`).
 */
export type HubErrorCode =
  | 'GatedRepo'
  | 'RepoNotFound'
  | 'RevisionNotFound'
  | 'EntryNotFound'
  /** No connection at all: no network, no such host, nobody listens. */
  | 'Unreachable'
  /** A connection that was cut, or stood still. */
  | 'Interrupted'
  /** An answer that is not a Hub's, or not the content that was announced. */
  | 'BadAnswer'
  /** Offline, and the cache does not have it. */
  | 'NotCached'

/** A repository, file or revision that cannot be found, fetched or written. */
export class HubError extends InputError {
  override name = 'HubError'
  readonly code: HubErrorCode | undefined
  /** HTTP status of the answer behind the error, where there was an answer. */
  readonly status: number | undefined
  /** Seconds that the server asks to wait, where it says. */
  readonly retryAfter: number | undefined

  constructor(
    message: string,
    options: { cause?: unknown; code?: HubErrorCode; status?: number; retryAfter?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = options.code
    this.status = options.status
    this.retryAfter = options.retryAfter
  }
}

/** A foreign string inside a message: JSON-quoted, so that it stays on one line, and cut at 80 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text)
}

/** A foreign text inside a message, on one line and no longer than `length`. */
export function oneLine(text: string, length = 200): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, length)
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
