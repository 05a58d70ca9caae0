import { DataError } from './errors.ts'

/** Layout of a text data file. */
export type TextFormat = 'tsv' | 'csv' | 'jsonl' | 'txt'

const EXTENSIONS: Record<string, TextFormat> = {
  tsv: 'tsv',
  csv: 'csv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  txt: 'txt',
}

/** @throws DataError if the name ends in none of .tsv, .csv, .jsonl, .ndjson, .txt. */
export function formatOf(path: string): TextFormat {
  const extension = /\.([^./\\]+)$/.exec(path)?.[1].toLowerCase() ?? ''
  const format = Object.hasOwn(EXTENSIONS, extension) ? EXTENSIONS[extension] : undefined
  if (!format)
    throw new DataError(
      `[data] ${path}: unknown kind of file; it must end in .tsv, .csv, .jsonl, .txt or .parquet`,
    )
  return format
}

/** One record of a table; `line` is where it begins, from 1. */
export interface TableRecord {
  line: number
  cells: string[]
}

/** One object of a jsonl file. */
export interface JsonRecord {
  line: number
  fields: Record<string, unknown>
}

/** The lines of a text that hold more than white space, with their numbers from 1. */
export function* textLines(text: string): Generator<{ line: number; text: string }> {
  for (let line = 1, begin = 0; begin <= text.length; line++) {
    const newline = text.indexOf('\n', begin)
    const end = newline < 0 ? text.length : newline
    const content = text.slice(begin, end)
    if (content.trim() !== '') yield { line, text: content }
    begin = end + 1
  }
}

/** Tab-separated values have no quoting (IANA text/tab-separated-values): a quotation mark is an ordinary character. */
export function tsvRecords(text: string): TableRecord[] {
  return Array.from(textLines(text), ({ line, text }) => ({ line, cells: text.split('\t') }))
}

/**
 * Comma-separated values as in RFC 4180: quoted fields may hold commas, line ends and doubled quotes.
 *
 * @throws DataError with the line of a quotation mark that is out of place or has no partner.
 */
export async function csvRecords(text: string, name: string): Promise<TableRecord[]> {
  // The parser's main build counts on Node's Buffer; its browser build brings one along and is five times slower.
  const inNode = typeof process !== 'undefined' && process.versions?.node !== undefined
  const { parse, CsvError } = inNode
    ? await import('csv-parse/sync')
    : await import('csv-parse/browser/esm/sync')
  const options = { info: true, relax_column_count: true } as const
  let parsed: { record: string[]; info: { lines: number } }[]
  try {
    parsed = parse(text, options) as unknown as typeof parsed
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new DataError(`[data] ${name}:${Number(error.lines) || 1}: ${csvReason(error.code)}`)
  }
  let line = 1
  const records: TableRecord[] = []
  for (const { record, info } of parsed) {
    if (record.some((cell) => cell.trim() !== '')) records.push({ line, cells: record })
    line = info.lines + 1
  }
  return records
}

export function csvReason(code: string): string {
  if (code === 'CSV_QUOTE_NOT_CLOSED') return 'a quoted field that begins here or before has no closing quote'
  if (code === 'CSV_INVALID_CLOSING_QUOTE')
    return 'text after the closing quote of a field; a quote inside a field is written ""'
  if (code === 'INVALID_OPENING_QUOTE')
    return 'a quote inside a field that is not quoted; quote the field and write the quote as ""'
  return `malformed csv (${code})`
}

/** @throws DataError with the number of the line that is not a JSON object. */
export function jsonRecords(text: string, name: string): JsonRecord[] {
  return Array.from(textLines(text), ({ line, text }) => {
    let fields: unknown
    try {
      fields = JSON.parse(text)
    } catch {
      throw new DataError(`[data] ${name}:${line}: not valid JSON; a jsonl file holds one object a line`)
    }
    if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
      throw new DataError(`[data] ${name}:${line}: not a JSON object`)
    return { line, fields: fields as Record<string, unknown> }
  })
}
