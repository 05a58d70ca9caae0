import { oneLine } from '../hub/errors.ts'
import { DataError } from './errors.ts'

export interface ColumnChoice {
  /** Name of the column that holds the text. Default: the first one with a usual name (text, sentence, ...). */
  textColumn?: string
  /** Name of the column that holds the label. Default: the first one with a usual name (label, class, ...). */
  labelColumn?: string
}

/** Usual names, the surest first. Compared without regard to case. */
const TEXT_NAMES = [
  'text',
  'sentence',
  'content',
  'review',
  'message',
  'body',
  'document',
  'comment',
  'tweet',
]
const LABEL_NAMES = ['label', 'labels', 'class', 'category', 'target', 'sentiment', 'intent']

/** Whether the first line of a table names its columns. */
export function isHeader(cells: readonly string[], choice: ColumnChoice): boolean {
  const asked = [choice.textColumn, choice.labelColumn].filter((name) => name !== undefined)
  if (asked.some((name) => cells.includes(name))) return true
  return cells.some((cell) => [...TEXT_NAMES, ...LABEL_NAMES].includes(cell.toLowerCase()))
}

/**
 * Finds the columns of text and label among `names`.
 *
 * @throws DataError with the names there are, if a column asked for, or one that is needed, is not among them.
 */
export function chooseColumns(
  names: readonly string[],
  file: string,
  choice: ColumnChoice,
  needsLabel: boolean,
): { text: string; label: string | undefined } {
  const list = names.map((name) => oneLine(name.length > 30 ? `${name.slice(0, 29)}…` : name)).join(', ')
  const find = (asked: string | undefined, usual: string[]) => {
    if (asked === undefined)
      return usual.map((u) => names.find((n) => n.toLowerCase() === u)).find((n) => n !== undefined)
    if (names.includes(asked)) return asked
    throw new DataError(`[data] ${file} has no column "${asked}"; it has: ${list}`)
  }
  const label = find(choice.labelColumn, LABEL_NAMES)
  const text = find(choice.textColumn, TEXT_NAMES) ?? onlyOther(names, label)
  if (text === undefined)
    throw new DataError(
      `[data] ${file}: which column holds the text? Name it with textColumn; there are: ${list}`,
    )
  if (needsLabel && label === undefined)
    throw new DataError(
      `[data] ${file}: which column holds the label? Name it with labelColumn; there are: ${list}`,
    )
  if (label === text) throw new DataError(`[data] ${file}: column "${text}" cannot be both text and label`)
  return { text, label }
}

/** Where the label is known and one column is left, that is the text. */
function onlyOther(names: readonly string[], label: string | undefined): string | undefined {
  const others = names.filter((name) => name !== label)
  return label !== undefined && others.length === 1 ? others[0] : undefined
}
