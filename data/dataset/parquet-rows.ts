import type { FileMetaData, SchemaElement } from 'hyparquet'
import { messageOf } from '../../hub/errors.ts'
import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import type { Feature, Features, Row } from './features.ts'

/** A Parquet file: what its columns hold, and its rows, a row group at a time. */
export interface ParquetFile {
  features: Features
  rows(): AsyncGenerator<Row>
}

/**
 * Opens a Parquet file with hyparquet. Integers of 64 bits become numbers where they are exact, dates and times Dates.
 *
 * @throws DataError, here and from the rows, for what is malformed
 */
export async function openParquet(file: RandomAccess): Promise<ParquetFile> {
  const { parquetMetadataAsync, parquetReadObjects } = await import('hyparquet')
  const buffer = {
    byteLength: file.size,
    async slice(begin: number, end = file.size) {
      const bytes = await file.read(begin, end - begin)
      return new Uint8Array(bytes).buffer
    },
  }
  await checkMagic(file)
  const metadata = await guarded(file, () => parquetMetadataAsync(buffer))
  checkSizes(file, metadata)
  return {
    features: featuresOf(metadata),
    async *rows() {
      const { compressors } = await import('hyparquet-compressors')
      let rowStart = 0
      for (const { num_rows } of metadata.row_groups) {
        const rowEnd = rowStart + Number(num_rows)
        const options = { file: buffer, metadata, rowStart, rowEnd, compressors: bounded(compressors) }
        const rows = rowEnd > rowStart ? await guarded(file, () => parquetReadObjects(options)) : []
        for (const row of rows) yield plain(row) as Row
        rowStart = rowEnd
      }
    },
  }
}

/** The four bytes at both ends, and between them the length of the footer. */
async function checkMagic(file: RandomAccess): Promise<void> {
  const isMagic = (bytes: Uint8Array) => String.fromCharCode(...bytes) === 'PAR1'
  if (file.size < 12 || !isMagic(await file.read(0, 4)) || !isMagic(await file.read(file.size - 4, 4)))
    throw new DataError(
      `[data] ${file.name} is not a Parquet file that can be read: it does not begin and end with PAR1; truncated, fetch it again`,
    )
}

async function guarded<T>(file: RandomAccess, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    if (error instanceof DataError) throw error
    throw new DataError(
      `[data] ${file.name} is not a Parquet file that can be read: ${messageOf(error).replace(/\s+/g, ' ').slice(0, 200)}`,
    )
  }
}

/** A page unpacks to at most this many bytes for each of its own; text of one letter packs better, but is no data. */
const MAX_RATIO = 2000
const MIN_PAGE = 16 * 1024 * 1024

type Compressors = typeof import('hyparquet-compressors')['compressors']

/** Compressors that do not allocate what a page claims beyond all measure. */
function bounded(compressors: Compressors): Compressors {
  const bound = (unpack: NonNullable<Compressors['GZIP']>) => (input: Uint8Array, outputLength: number) => {
    if (outputLength > Math.max(MIN_PAGE, MAX_RATIO * input.length))
      throw new Error(`a page of ${input.length} bytes claims to unpack to ${outputLength}`)
    return unpack(input, outputLength)
  }
  return Object.fromEntries(
    Object.entries(compressors).map(([name, unpack]) => [name, unpack && bound(unpack)]),
  ) as Compressors
}

/** Row groups that lie outside of the file, or claim more rows than there are in all. */
function checkSizes(file: RandomAccess, { row_groups, num_rows }: FileMetaData): void {
  const total = row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
  if (total !== Number(num_rows) || !row_groups.every((group) => Number(group.num_rows) >= 0))
    throw new DataError(`[data] ${file.name}: its row groups have ${total} rows, the file ${num_rows}`)
  for (const { columns } of row_groups)
    for (const { meta_data } of columns)
      if (meta_data && !(Number(meta_data.total_compressed_size) <= file.size))
        throw new DataError(
          `[data] ${file.name}: a column claims more bytes than the file has; truncated, fetch it again`,
        )
}

/** Numbers in place of bigints that are exact as such. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null || value instanceof Date || ArrayBuffer.isView(value))
    return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, plain(inner)]))
}

/** The columns at the top of the schema; classes have their names where Hugging Face's datasets wrote them down. */
function featuresOf({ schema, key_value_metadata = [] }: FileMetaData): Features {
  const names = classNames(key_value_metadata.find(({ key }) => key === 'huggingface')?.value)
  const features: Record<string, Feature> = {}
  for (let at = 1; at < schema.length; at = afterSubtree(schema, at)) {
    const { name } = schema[at]
    const classes = names.get(name)
    features[name] = { dtype: dtypeOf(schema[at]), ...(classes && { names: classes }) }
  }
  return features
}

/** Elements follow their parents in depth-first order. */
function afterSubtree(schema: SchemaElement[], at: number): number {
  let left = 1
  let next = at
  for (; left > 0 && next < schema.length; next++) left += (schema[next].num_children ?? 0) - 1
  return next
}

function dtypeOf({
  type,
  converted_type,
  logical_type,
  num_children,
  repetition_type,
}: SchemaElement): string {
  const logical = logical_type?.type
  if (converted_type === 'LIST' || logical === 'LIST' || repetition_type === 'REPEATED') return 'list'
  if (num_children) return 'struct'
  if (converted_type === 'UTF8' || logical === 'STRING') return 'string'
  if (logical === 'TIMESTAMP' || converted_type?.startsWith('TIMESTAMP') || converted_type === 'DATE')
    return 'timestamp'
  if (type === 'BOOLEAN') return 'bool'
  if (type === 'INT32' || type === 'INT64') return converted_type === 'DECIMAL' ? 'float64' : 'int64'
  if (type === 'FLOAT' || type === 'DOUBLE' || logical === 'FLOAT16') return 'float64'
  return 'binary'
}

interface HuggingFaceInfo {
  info?: { features?: Record<string, { _type?: string; names?: unknown }> }
}

function classNames(json: string | undefined): Map<string, string[]> {
  const found = new Map<string, string[]>()
  let info: HuggingFaceInfo
  try {
    info = JSON.parse(json ?? '{}') as HuggingFaceInfo
  } catch {
    return found // somebody else's metadata
  }
  for (const [name, feature] of Object.entries(info?.info?.features ?? {}))
    if (feature?._type === 'ClassLabel' && Array.isArray(feature.names))
      found.set(name, feature.names.map(String))
  return found
}
