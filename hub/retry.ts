import { HubError } from './errors.ts'
import type { ConnectionOptions } from './options.ts'

/** Statuses of a server that may do better next time. */
const PASSING = new Set([408, 429, 500, 502, 503, 504])
/** Longer waits are left to the user to decide. */
const LONGEST_WAIT = 300

/** Whether the same request may succeed later. */
export function isPassing(error: unknown): boolean {
  if (!(error instanceof HubError)) return false
  if (error.retryAfter !== undefined && error.retryAfter > LONGEST_WAIT) return false
  return error.status === undefined ? error.code === 'Interrupted' : PASSING.has(error.status)
}

export interface RetryOptions
  extends Pick<ConnectionOptions, 'retries' | 'retryDelay' | 'signal' | 'onNotice'> {
  /** Which failures are worth another try. Default `isPassing`. */
  when?: (error: Error) => boolean
  /** Whether a failed try brought something: then it does not count. */
  progressed?: () => boolean
}

/**
 * Repeats `action` while it fails for a passing reason: waits as long as the server asks, and a delay that doubles from
 * `retryDelay` with some chance in it, so that many clients do not come back at once.
 *
 * @throws what the last try threw; the signal's reason if it was aborted.
 */
export async function withRetries<T>(action: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { retries = 5, retryDelay = 500, signal, onNotice, when = isPassing, progressed } = options
  const { default: pRetry } = await import('p-retry')
  return pRetry(action, {
    retries,
    minTimeout: retryDelay,
    maxTimeout: Math.max(retryDelay, 30_000),
    randomize: true,
    signal,
    shouldRetry: ({ error }) => when(error),
    shouldConsumeRetry: () => !progressed?.(),
    onFailedAttempt: async ({ error, retriesLeft }) => {
      if (retriesLeft === 0 || !when(error)) return
      const asked = error instanceof HubError ? (error.retryAfter ?? 0) * 1000 : 0
      onNotice?.(`${error.message}; trying again${asked > 0 ? ` in ${asked / 1000} s` : ''}`)
      await delay(progressed?.() ? Math.max(asked, retryDelay) : asked, signal)
    },
  })
}

/** @throws the signal's reason as soon as it is aborted. */
async function delay(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, milliseconds)
    signal?.addEventListener('abort', stop, { once: true })
  })
}
