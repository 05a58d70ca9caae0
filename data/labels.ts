import { DataError } from './errors.ts'
import type { TextRow } from './text-dataset.ts'

/** The classes of a classification task. Class ids are 0 to `names.length - 1`. */
export interface LabelSet {
  /** Names by class id. */
  readonly names: readonly string[]
  /** The same as the two fields of a `config.json`. */
  readonly id2label: Readonly<Record<number, string>>
  readonly label2id: Readonly<Record<string, number>>
  /** @throws DataError with file and line if the row has no label, or one that is not in the set. */
  encode(row: TextRow): number
}

export interface LabelSetOptions {
  /** Classes that a model has already: rows may then use their names, or their ids where no name is a number. */
  id2label?: Readonly<Record<number, string>>
}

/**
 * The classes that labelled rows use: numbers in ascending order, names in alphabetical order (of UTF-16 units), so
 * that the ids depend on the labels alone and not on the order of the rows. Labels 0 to n - 1 keep their numbers.
 *
 * @throws DataError with file and line if a row has no label, if one label among numbers is none (or the reverse), if
 * there are fewer than two classes, or if a label is not among those of `id2label`.
 */
export function labelSet(rows: readonly TextRow[], { id2label }: LabelSetOptions = {}): LabelSet {
  if (id2label) {
    const names = classNames(id2label)
    const known = makeLabelSet(names, !names.some(isInteger))
    for (const row of rows) known.encode(row)
    return known
  }
  const names = new Set(rows.map(labelOf))
  checkOneKind(rows)
  if (names.size < 2)
    throw new DataError(
      `[data] ${rows[0]?.file ?? 'the data'}: classification needs at least 2 different labels, there ${names.size === 1 ? `is only ${JSON.stringify([...names][0])}` : 'are none'}`,
    )
  const numeric = isInteger([...names][0])
  return makeLabelSet([...names].sort(numeric ? (a, b) => Number(a) - Number(b) : undefined))
}

/** @param acceptsIds whether a row may give the number of a class instead of its name */
function makeLabelSet(names: readonly string[], acceptsIds = false): LabelSet {
  const ids = new Map(names.map((name, id) => [name, id]))
  return {
    names,
    id2label: Object.fromEntries(names.entries()),
    label2id: Object.fromEntries(ids),
    encode(row) {
      const label = labelOf(row)
      const id = ids.get(label)
      if (id !== undefined) return id
      if (acceptsIds && isInteger(label) && names[Number(label)] !== undefined) return Number(label)
      throw new DataError(`[data] ${row.file}:${row.line}: label ${show(label)} is none of ${list(names)}`)
    },
  }
}

function classNames(id2label: Readonly<Record<number, string>>): string[] {
  const count = Object.keys(id2label).length
  return Array.from({ length: count }, (_, id) => {
    const name = id2label[id]
    if (name === undefined)
      throw new DataError(`[labelSet] id2label has ${count} classes, but none with id ${id}`)
    return name
  })
}

function labelOf(row: TextRow): string {
  if (row.label === undefined) throw new DataError(`[data] ${row.file}:${row.line}: the line has no label`)
  return row.label
}

/** A stray word among numbers, or number among words, is a slip in the data rather than one more class. */
function checkOneKind(rows: readonly TextRow[]): void {
  const numbers = rows.filter((row) => isInteger(labelOf(row)))
  if (numbers.length === 0 || numbers.length === rows.length) return
  const mostlyNumbers = numbers.length * 2 >= rows.length
  const stray = rows.find((row) => isInteger(labelOf(row)) !== mostlyNumbers)!
  const kind = mostlyNumbers
    ? 'is not a number, as the other labels are'
    : 'is a number, where the other labels are names'
  throw new DataError(`[data] ${stray.file}:${stray.line}: label ${show(labelOf(stray))} ${kind}`)
}

function isInteger(label: string): boolean {
  return /^-?\d+$/.test(label)
}

function show(label: string): string {
  return JSON.stringify(label.length > 40 ? `${label.slice(0, 39)}…` : label)
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 10).map(show).join(', ')
  return names.length > 10 ? `${shown} and ${names.length - 10} more` : shown
}
