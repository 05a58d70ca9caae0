/** What the tokenizer suites share: outcomes and comparisons. */
export interface Outcome {
  /** Path under the suite, such as `NAME/encode/12`. */
  case: string
  status: 'passed' | 'failed'
  reason?: string
}

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
    yield { case: name, status: 'failed', reason }
  }
}

export function expectEqual(what: string, got: unknown, want: unknown): void {
  if (isEqual(got, want)) return
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

/** Whether two values of JSON are the same. */
function isEqual(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return Object.is(a, b)
  if (Array.isArray(a) !== Array.isArray(b)) return false
  const keys = Object.keys(a)
  if (keys.length !== Object.keys(b).length) return false
  const [left, right] = [a, b] as Record<string, unknown>[]
  return keys.every((key) => Object.hasOwn(right, key) && isEqual(left[key], right[key]))
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 200 ? `${text.slice(0, 199)}…` : text
}
