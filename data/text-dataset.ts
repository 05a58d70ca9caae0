import { type ColumnChoice, chooseColumns, isHeader } from './columns.ts'
import { DataError } from './errors.ts'
import {
  csvRecords,
  formatOf,
  type JsonRecord,
  jsonRecords,
  type TableRecord,
  type TextFormat,
  textLines,
  tsvRecords,
} from './records.ts'
import { readTextFile } from './text-file.ts'

/** One text of a data file. */
export interface TextRow {
  text: string
  /** The label as it is written: a name, or a number in decimal. */
  label?: string
  /** Where the row stands, for messages; lines count from 1. */
  file: string
  line: number
}

export interface TextDatasetOptions extends ColumnChoice {
  /** Default: by the file's extension. */
  format?: TextFormat
  /** Whether every row needs a label, may have one (the default), or has any label dropped. */
  labels?: 'required' | 'optional' | 'ignored'
}

/**
 * Reads texts, and labels where there are any, from a file (Node).
 *
 * - `tsv` and `csv`: with a header that names the columns, or without one: then the first column is the text and the
 *   second, if any, the label. A first line counts as a header if it holds `textColumn` or `labelColumn`, or without
 *   these a usual name such as text, sentence or label.
 * - `jsonl`: one object a line; the text a string, the label a string, number or boolean.
 * - `txt`: one text a line, no labels.
 * - `parquet`, by its extension: columns as those of jsonl; lines are the numbers of the rows.
 *
 * Lines of white space are skipped. Labels are trimmed, texts are not.
 *
 * @throws DataError that names file and line: a missing or empty text, a missing label where labels are required, a
 * surplus column, an unknown column, an empty file, text that is not UTF-8.
 */
export async function readTextDataset(path: string, options: TextDatasetOptions = {}): Promise<TextRow[]> {
  if (options.format === undefined && /\.parquet$/i.test(path))
    return checkRows(await parquetRows(path, options), path, options)
  const format = options.format ?? formatOf(path)
  return parseTextDataset(await readTextFile(path), path, { ...options, format })
}

/** Rows of a Parquet file as those of a jsonl file; their numbers stand for lines, classes go by their names if they have some. */
async function parquetRows(path: string, options: TextDatasetOptions): Promise<TextRow[]> {
  const { loadDataset } = await import('./dataset/load-dataset.ts')
  const { train } = await loadDataset(path, { dataFiles: { train: '*' } })
  const named = Object.entries(train.features).filter(([, { names }]) => names)
  const records = Array.from(train, (row, i) => {
    const fields = { ...row }
    for (const [column, { names }] of named) fields[column] = names![Number(row[column])] ?? row[column]
    return { line: i + 1, fields }
  })
  return jsonRows(records, path, options)
}

/** What `readTextDataset` does with the text of a file; `name` is for messages. Works in browsers. */
export async function parseTextDataset(
  text: string,
  name: string,
  options: TextDatasetOptions & { format: TextFormat },
): Promise<TextRow[]> {
  const rows = await rowsOf(text, name, options)
  if (rows.length === 0 && text.trim() !== '') throw new DataError(`[data] ${name} has a header but no rows`)
  return checkRows(rows, name, options)
}

function checkRows(rows: TextRow[], name: string, options: TextDatasetOptions): TextRow[] {
  if (rows.length === 0) throw new DataError(`[data] ${name} is empty`)
  if (options.labels === 'required') for (const row of rows) checkLabel(row)
  if (options.labels === 'ignored') for (const row of rows) delete row.label
  for (const row of rows) {
    if (row.text.trim() === '') throw new DataError(`[data] ${row.file}:${row.line}: the text is empty`)
  }
  return rows
}

function checkLabel(row: TextRow): void {
  if (row.label === undefined) throw new DataError(`[data] ${row.file}:${row.line}: the line has no label`)
}

async function rowsOf(
  text: string,
  name: string,
  options: TextDatasetOptions & { format: TextFormat },
): Promise<TextRow[]> {
  switch (options.format) {
    case 'tsv':
      return tableRows(tsvRecords(text), name, options)
    case 'csv':
      return tableRows(await csvRecords(text, name), name, options)
    case 'jsonl':
      return jsonRows(jsonRecords(text, name), name, options)
    case 'txt':
      if (options.labels === 'required')
        throw new DataError(`[data] ${name}: a txt file has no labels; use tsv, csv or jsonl`)
      if (options.textColumn !== undefined || options.labelColumn !== undefined)
        throw new DataError(`[data] ${name}: a txt file has no columns to choose from`)
      return Array.from(textLines(text), ({ line, text }) => ({ text, file: name, line }))
  }
}

function tableRows(records: TableRecord[], name: string, options: TextDatasetOptions): TextRow[] {
  if (records.length === 0) return []
  const first = records[0].cells.map((cell) => cell.trim())
  const header = isHeader(first, options)
  const [textAt, labelAt] = header
    ? headerColumns(first, name, options)
    : bareColumns(records[0], name, options)
  const width = header ? first.length : Math.max(first.length, labelAt + 1)
  return records.slice(header ? 1 : 0).map(({ line, cells }) => {
    if (cells.length > width)
      throw new DataError(
        `[data] ${name}:${line}: ${cells.length} columns, where ${columnCount(width)} expected`,
      )
    const text = cells[textAt]
    if (text === undefined) throw new DataError(`[data] ${name}:${line}: the line has no text`)
    return makeRow(text, cells[labelAt]?.trim(), name, line)
  })
}

function columnCount(width: number): string {
  return width === 1 ? '1 is' : `${width} are`
}

function headerColumns(header: string[], name: string, options: TextDatasetOptions): [number, number] {
  const { text, label } = chooseColumns(header, name, options, options.labels === 'required')
  return [header.indexOf(text), label === undefined ? -1 : header.indexOf(label)]
}

function bareColumns(
  { line, cells }: TableRecord,
  name: string,
  options: TextDatasetOptions,
): [number, number] {
  if (options.textColumn !== undefined || options.labelColumn !== undefined)
    chooseColumns(cells, name, options, false) // throws: the names asked for are not there
  if (cells.length > 2)
    throw new DataError(
      `[data] ${name}:${line}: ${cells.length} columns and no header that names the text; begin the file with a line of column names`,
    )
  return cells.length === 2 || options.labels === 'required' ? [0, 1] : [0, -1]
}

function jsonRows(records: JsonRecord[], name: string, options: TextDatasetOptions): TextRow[] {
  if (records.length === 0) return []
  const names = new Set(records.flatMap(({ fields }) => Object.keys(fields)))
  const { text, label } = chooseColumns([...names], name, options, options.labels === 'required')
  return records.map(({ line, fields }) => {
    const value = Object.hasOwn(fields, text) ? fields[text] : undefined
    if (typeof value !== 'string')
      throw new DataError(
        `[data] ${name}:${line}: "${text}" ${value === undefined ? 'is missing' : 'must be a string'}`,
      )
    const given = label !== undefined && Object.hasOwn(fields, label) ? fields[label] : undefined
    if (given !== undefined && given !== null && typeof given === 'object')
      throw new DataError(`[data] ${name}:${line}: "${label}" must be a string, a number or a boolean`)
    return makeRow(
      value,
      given === undefined || given === null ? undefined : String(given).trim(),
      name,
      line,
    )
  })
}

function makeRow(text: string, label: string | undefined, file: string, line: number): TextRow {
  return label === undefined || label === '' ? { text, file, line } : { text, label, file, line }
}
