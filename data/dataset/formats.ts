import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import type { Features, Row } from './features.ts'
import { csvRows, type TableOptions, tsvRows } from './table-rows.ts'
import { jsonRows, textRows } from './text-rows.ts'

export type DataFormat = 'csv' | 'tsv' | 'jsonl' | 'txt' | 'parquet'

const EXTENSIONS: Readonly<Record<string, DataFormat>> = {
  csv: 'csv',
  tsv: 'tsv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'jsonl',
  txt: 'txt',
  parquet: 'parquet',
}

/** By the extension, before which `.gz` may stand (not for Parquet); undefined for other files. */
export function dataFormatOf(path: string): DataFormat | undefined {
  const [, extension = '', packed] = /\.([a-z]+?)(\.gz)?$/i.exec(path) ?? []
  const format = Object.hasOwn(EXTENSIONS, extension.toLowerCase())
    ? EXTENSIONS[extension.toLowerCase()]
    : undefined
  return packed && format === 'parquet' ? undefined : format
}

export interface FileRows {
  /** What the columns hold, where the file says it. */
  features: Features | undefined
  rows(): AsyncGenerator<Row>
}

/** @throws DataError where the file cannot be read as what it is */
export async function openRows(
  file: RandomAccess,
  format: DataFormat,
  options: TableOptions,
): Promise<FileRows> {
  if (options.columnNames && format !== 'csv' && format !== 'tsv')
    throw new DataError(`[data] ${file.name}: columnNames are for csv and tsv; a ${format} file has its own`)
  switch (format) {
    case 'parquet':
      return (await import('./parquet-rows.ts')).openParquet(file)
    case 'csv':
      return { features: undefined, rows: () => csvRows(file, options) }
    case 'tsv':
      return { features: undefined, rows: () => tsvRows(file, options) }
    case 'jsonl':
      return { features: undefined, rows: () => jsonRows(file) }
    case 'txt':
      return { features: undefined, rows: () => textRows(file) }
  }
}
