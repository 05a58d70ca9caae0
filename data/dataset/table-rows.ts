import { isNode } from '../../hub/environment.ts'
import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import { csvReason } from '../records.ts'
import { readChunks, readLines } from './bytes.ts'
import type { Features, Row } from './features.ts'

export interface TableOptions {
  /** Names of the columns of a file whose first line is a row already. Default: the first line names them. */
  columnNames?: readonly string[]
  /** What columns are read as, by name: `string`, `int64`, `float64`, `bool`. Default: what their values look like. */
  features?: Features
}

interface TableRecord {
  line: number
  cells: string[]
}

/** Tab-separated values have no quoting: a quotation mark is an ordinary character. */
export function tsvRows(file: RandomAccess, options: TableOptions): AsyncGenerator<Row> {
  return tableRows(tsvRecords(file), file.name, options)
}

/** Comma-separated values as in RFC 4180. */
export function csvRows(file: RandomAccess, options: TableOptions): AsyncGenerator<Row> {
  return tableRows(csvRecords(file), file.name, options)
}

async function* tsvRecords(file: RandomAccess): AsyncGenerator<TableRecord> {
  for await (const { line, text } of readLines(readChunks(file), file.name))
    if (text.trim() !== '') yield { line, cells: text.split('\t') }
}

/** Handed to the parser at a time. */
const WRITE_CHARACTERS = 32 * 1024

async function* csvRecords(file: RandomAccess): AsyncGenerator<TableRecord> {
  // The parser's main build counts on Node's streams; its browser build brings them along and is slower.
  const { parse, CsvError } = isNode ? await import('csv-parse') : await import('csv-parse/browser/esm')
  const parser = parse({ info: true, relax_column_count: true, bom: true })
  let wake = () => {}
  for (const event of ['drain', 'close']) parser.on(event, () => wake())
  const write = async (text: string) => {
    if (parser.write(text) || parser.destroyed) return
    await new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  const feed = async () => {
    // whole lines, so that one that is not UTF-8 is known by its number
    let lines = ''
    for await (const { text } of readLines(readChunks(file), file.name)) {
      lines += `${text}\n`
      if (lines.length < WRITE_CHARACTERS) continue
      await write(lines)
      if (parser.destroyed) return
      lines = ''
    }
    parser.end(lines)
  }
  const fed = feed().catch((error: Error) => void parser.destroy(error))
  let line = 1
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[]
      info: { lines: number }
    }>) {
      if (record.some((cell) => cell.trim() !== '')) yield { line, cells: record }
      line = info.lines + 1
    }
  } catch (error) {
    if (!(error instanceof CsvError)) throw error
    throw new DataError(`[data] ${file.name}:${Number(error.lines) || 1}: ${csvReason(error.code)}`)
  } finally {
    parser.destroy()
    await fed
  }
}

/** Rows looked at before the first is given, to see what the columns hold. */
const SAMPLE = 1000

async function* tableRows(
  records: AsyncIterable<TableRecord>,
  name: string,
  { columnNames, features }: TableOptions,
): AsyncGenerator<Row> {
  let names = columnNames
  let kinds: Kind[] | undefined
  let sample: TableRecord[] = []
  const rowsOf = function* (batch: TableRecord[]): Generator<Row> {
    kinds ??= names!.map((column, i) => kindOf(features?.[column]?.dtype, batch, i))
    for (const record of batch) yield toRow(record, names!, kinds, name)
  }
  for await (const record of records) {
    if (!names) {
      names = record.cells.map((cell) => cell.trim())
      const twice = names.find((column, i) => names!.indexOf(column) !== i)
      if (twice !== undefined)
        throw new DataError(`[data] ${name}:${record.line}: two columns are named "${twice}"`)
      continue
    }
    if (record.cells.length > names.length)
      throw new DataError(
        `[data] ${name}:${record.line}: ${record.cells.length} columns, where the header names ${names.length}`,
      )
    if (kinds) {
      yield toRow(record, names, kinds, name)
      continue
    }
    sample.push(record)
    if (sample.length < SAMPLE) continue
    yield* rowsOf(sample)
    sample = []
  }
  if (sample.length > 0) yield* rowsOf(sample)
}

type Kind = 'string' | 'int64' | 'float64' | 'bool'

const TESTS: readonly [Kind, RegExp][] = [
  ['int64', /^[+-]?\d{1,15}$/],
  ['float64', /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/],
  ['bool', /^(true|false)$/i],
]

/** What a column is read as: as asked, or what all cells of a sample look like. */
function kindOf(asked: string | undefined, sample: TableRecord[], column: number): Kind {
  const known = ['string', 'int64', 'float64', 'bool']
  if (asked !== undefined && !known.includes(asked))
    throw new DataError(`[data] a column is read as one of ${known.join(', ')}, not ${asked}`)
  if (asked !== undefined) return asked as Kind
  const cells = sample.map(({ cells }) => cells[column]?.trim() ?? '').filter((cell) => cell !== '')
  if (cells.length === 0) return 'string'
  // 007 is a name, not a number
  if (cells.some((cell) => /^[+-]?0\d/.test(cell))) return 'string'
  return TESTS.find(([, test]) => cells.every((cell) => test.test(cell)))?.[0] ?? 'string'
}

/** Cells that are missing, or empty where no text is read, are `null`. */
function toRow({ line, cells }: TableRecord, names: readonly string[], kinds: Kind[], file: string): Row {
  return Object.fromEntries(
    names.map((name, i) => {
      const cell = cells[i]
      if (cell === undefined) return [name, null]
      const kind = kinds[i]
      if (kind === 'string') return [name, cell]
      const text = cell.trim()
      if (text === '') return [name, null]
      const isNumber = TESTS.slice(0, 2).some(([, test]) => test.test(text))
      if (kind === 'bool' ? !/^(true|false)$/i.test(text) : !isNumber)
        throw new DataError(
          `[data] ${file}:${line}: ${JSON.stringify(text.slice(0, 40))} in column "${name}" is no ${kind}, as the rows before are; read the column as text with features: { ${JSON.stringify(name)}: { dtype: 'string' } }`,
        )
      return [name, kind === 'bool' ? /^true$/i.test(text) : Number(text)]
    }),
  )
}
