/** Debug levels, from TUNESMITH_DEBUG or `setDebug`: 1 notices, 2 a line a plan, 3 the plan, 4 generated kernels. */
const fromEnvironment = (): number => {
  const env = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process?.env
  return Number(env?.TUNESMITH_DEBUG ?? 0) || 0
}

let level = fromEnvironment()

export const debugLevel = (): number => level

/** Sets the debug level, 0 (silent) to 4. */
export function setDebug(n: number): void {
  if (!(n >= 0 && n <= 4)) throw new RangeError(`[setDebug] level ${n} is not one of 0, 1, 2, 3, 4`)
  level = n
}

/** Prints one line to stderr where the level is reached. The message is made only then. */
export function debug(at: number, message: () => string): void {
  if (level >= at) console.error(`[tunesmith] ${message()}`)
}

/** Folders whose lines are not the user's. */
const OWN = ['./', '../nn/'].map((folder) => new URL(folder, import.meta.url).pathname)

/** The first line of the stack outside this library, for errors that point at the user's code. */
export function callSite(wanted = false): string | null {
  if (level < 1 && !wanted) return null
  const lines = new Error('call site').stack?.split('\n').slice(2) ?? []
  const outside = lines.find((l) => !l.includes('node:') && !OWN.some((folder) => l.includes(folder)))
  return outside?.trim().replace(/^at /, '') ?? null
}
