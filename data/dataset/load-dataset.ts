import type { HubOptions } from '../../hub/index.ts'
import { matchFiles } from '../../hub/model-files.ts'
import { DataError } from '../errors.ts'
import { cardFiles } from './card.ts'
import type { Dataset } from './dataset.ts'
import type { Features, Row } from './features.ts'
import { type DataFormat, dataFormatOf, openRows } from './formats.ts'
import { IterableDataset } from './iterable-dataset.ts'
import { type DataSource, findSource } from './sources.ts'
import { configFiles, splitsOf } from './splits.ts'
import type { TableOptions } from './table-rows.ts'

export interface LoadDatasetOptions extends HubOptions, TableOptions {
  /** Only this split, which is then the result. */
  split?: string
  /** Read while going through it, in constant memory. Default false: everything in memory. */
  streaming?: boolean
  /** Configuration of a data set that has several: by its card (README.md), else the folder that its files lie in. */
  name?: string
  /** Patterns (`*` and `?`) of the files, of all splits or by split. Default: by the files' names. */
  dataFiles?: string | readonly string[] | Readonly<Record<string, string | readonly string[]>>
  /** Default: by the files' extensions. */
  format?: DataFormat
}

/**
 * A data set from a file, a folder, a URL or the Hub by its id, in csv, tsv, jsonl (or a JSON array), txt or Parquet, the text
 * formats also packed as `.gz`. Splits come from the files' names, as in Hugging Face's datasets.
 *
 * ```ts
 * const { train, validation } = await loadDataset('data/mails') // train.csv, dev.csv
 * const test = await loadDataset('stanfordnlp/imdb', { split: 'test' })
 * const stream = await loadDataset('huge.parquet', { split: 'train', streaming: true })
 * ```
 *
 * A streamed file is read a piece, of Parquet a row group, at a time.
 *
 * @returns the split asked for, or all by name
 * @throws DataError, one line with file and line or the fix, for what is missing or malformed; HubError as `download` does
 */
export function loadDataset(
  source: string,
  options: LoadDatasetOptions & { split: string; streaming: true },
): Promise<IterableDataset>
export function loadDataset(
  source: string,
  options: LoadDatasetOptions & { streaming: true },
): Promise<Record<string, IterableDataset>>
export function loadDataset(
  source: string,
  options: LoadDatasetOptions & { split: string; streaming?: false },
): Promise<Dataset>
export function loadDataset(
  source: string,
  options?: LoadDatasetOptions & { streaming?: false },
): Promise<Record<string, Dataset>>
export async function loadDataset(
  source: string,
  options: LoadDatasetOptions = {},
): Promise<Dataset | IterableDataset | Record<string, Dataset> | Record<string, IterableDataset>> {
  const { split, streaming = false } = options
  const found = await findSource(source, options)
  const dataFiles = options.dataFiles ?? (await cardFiles(found, options.name))
  const splits = chooseFiles(found, { ...options, dataFiles })
  if (split !== undefined && !splits.has(split))
    throw new DataError(
      `[data] ${found.name} has no split "${split}"; there are: ${[...splits.keys()].join(', ')}`,
    )
  const wanted = split === undefined ? [...splits.keys()] : [split]
  const loaded: Record<string, Dataset | IterableDataset> = {}
  for (const name of wanted) {
    const stream = await openSplit(found, splits.get(name)!, options)
    loaded[name] = streaming ? stream : await stream.toDataset()
  }
  return split === undefined ? (loaded as Record<string, Dataset>) : loaded[split]
}

function chooseFiles(source: DataSource, options: LoadDatasetOptions): Map<string, string[]> {
  const { dataFiles, format, name } = options
  const isData = (path: string) => (format ?? dataFormatOf(path)) !== undefined
  const match = (patterns: string | readonly string[]) => {
    const list = typeof patterns === 'string' ? [patterns] : patterns
    const files = matchFiles(source.paths, { include: list }).sort()
    if (files.length === 0)
      throw new DataError(
        `[data] ${source.name} has no file ${list.map((p) => JSON.stringify(p)).join(', ')}`,
      )
    const other = files.find((path) => !isData(path))
    if (other !== undefined)
      throw new DataError(
        `[data] ${other}: unknown kind of file; name it with format: csv, tsv, jsonl, txt or parquet`,
      )
    return files
  }
  if (typeof dataFiles === 'object' && !Array.isArray(dataFiles))
    return new Map(
      Object.entries(dataFiles as Record<string, string>).map(([split, files]) => [split, match(files)]),
    )
  const files =
    dataFiles === undefined
      ? configFiles(commonKind(source.paths.filter(isData)), name, source.name)
      : match(dataFiles as string | readonly string[])
  const splits = splitsOf(files)
  if (splits.size === 0)
    throw new DataError(`[data] ${source.name} has no data in csv, tsv, jsonl, txt or Parquet`)
  return splits
}

/** Beside tables and records, text files and JSON (licences, settings) are no data. */
function commonKind(paths: string[]): string[] {
  const kinds = (['parquet', 'csv', 'tsv'] as DataFormat[]).filter((kind) =>
    paths.some((path) => dataFormatOf(path) === kind),
  )
  if (kinds.length > 0) return paths.filter((path) => kinds.includes(dataFormatOf(path)!))
  const records = paths.filter(
    (path) => dataFormatOf(path) === 'jsonl' && !/(^|\/)\w*(config|info|infos)\.json$/.test(path),
  )
  return records.length > 0 ? records : paths
}

async function openSplit(
  source: DataSource,
  paths: string[],
  options: LoadDatasetOptions,
): Promise<IterableDataset> {
  const { format, columnNames, features } = options
  const open = async (path: string) => {
    const file = await source.open(path)
    try {
      const opened = await openRows(file, format ?? dataFormatOf(path)!, { columnNames, features })
      return { file, ...opened }
    } catch (error) {
      await file.close()
      throw error
    }
  }
  const first = await open(paths[0])
  await first.file.close()
  return new IterableDataset(
    async function* (): AsyncGenerator<Row> {
      for (const path of paths) {
        const { file, rows } = await open(path)
        try {
          yield* rows()
        } finally {
          await file.close()
        }
      }
    },
    first.features as Features | undefined,
  )
}
