/** What the tokenizer suites share: outcomes and comparisons. */
import { readFile } from 'node:fs/promises'
import { isDeepStrictEqual } from 'node:util'

export interface Outcome {
  /** Path under the suite, such as `NAME/encode/12`. */
  case: string
  status: 'passed' | 'failed' | 'skipped'
  reason?: string
}

/** Thrown by a case that asks for what is not built. */
export class NotBuilt extends Error {}

/** Runs one case, if it is wanted. */
export async function* run(
  name: string,
  wanted: (name: string) => boolean,
  check: () => void | Promise<void>,
): AsyncIterable<Outcome> {
  if (!wanted(name)) return
  try {
    await check()
    yield { case: name, status: 'passed' }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    yield { case: name, status: error instanceof NotBuilt ? 'skipped' : 'failed', reason }
  }
}

export function expectEqual(what: string, got: unknown, want: unknown): void {
  if (isDeepStrictEqual(got, want)) return
  throw new Error(`${what}: got ${shown(got)}, expected ${shown(want)}`)
}

export function expectThrow(action: () => unknown, why: string): void {
  let result: unknown
  try {
    result = action()
  } catch {
    return
  }
  throw new Error(`returned ${shown(result)}, expected an error (${why})`)
}

/** The content of a JSON file, or undefined where there is none. */
export async function readJson<T>(path: string): Promise<T | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return JSON.parse(text) as T
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}
