import type { Row } from './features.ts'

/** Several rows as one: each column an array. A row that lacks a column gives `null`. */
export function toColumns(rows: readonly Row[]): Record<string, unknown[]> {
  const names = new Set(rows.flatMap((row) => Object.keys(row)))
  return Object.fromEntries(Array.from(names, (name) => [name, rows.map((row) => row[name] ?? null)]))
}

/** The reverse of `toColumns`. @throws RangeError if the columns differ in length */
export function toRows(columns: Readonly<Record<string, ArrayLike<unknown>>>): Row[] {
  const entries = Object.entries(columns)
  const length = entries.length === 0 ? 0 : entries[0][1].length
  const uneven = entries.find(([, values]) => values.length !== length)
  if (uneven)
    throw new RangeError(
      `[data] column "${uneven[0]}" has ${uneven[1].length} values, "${entries[0][0]}" ${length}; columns of a batch are of one length`,
    )
  return Array.from({ length }, (_, i) =>
    Object.fromEntries(entries.map(([name, values]) => [name, values[i]])),
  )
}

/** What `map` takes beside the function. */
export interface MapOptions {
  /** Columns of the row before that the result leaves out. */
  removeColumns?: string | readonly string[]
}

/** The row after `map`: the fields of both, those of the function last. */
export function mapped(row: Row, result: Row | undefined, removed: ReadonlySet<string>): Row {
  const kept =
    removed.size === 0 ? row : Object.fromEntries(Object.entries(row).filter(([name]) => !removed.has(name)))
  return { ...kept, ...result }
}

export const namesOf = (names: string | readonly string[] = []): ReadonlySet<string> =>
  new Set(typeof names === 'string' ? [names] : names)

export function checkCount(what: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`[data] ${what} ${value} must be an integer over 0`)
}
