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

/** A model, file or revision that cannot be found or fetched. */
export class HubError extends InputError {
  override name = 'HubError'
  /** HTTP status of the answer behind the error, where there was an answer. */
  readonly status: number | undefined

  constructor(message: string, options: { cause?: unknown; status?: number } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.status = options.status
  }
}

/** A foreign string inside a message: JSON-quoted, so that it stays on one line, and cut at 80 characters. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text)
}

/** The text of whatever was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
