import type { FileMetaData, SchemaElement } from 'hyparquet'
import { messageOf, oneLine } from '../../hub/errors.ts'
import type { RandomAccess } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import type { Feature, Features, Row } from './features.ts'
import { checkMetadata, checkPages, checkUnpackedSize, type PageChecks } from './parquet-check.ts'

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
  const { parquetHeader } = await import('hyparquet/src/column.js')
  const { getSchemaPath } = await import('hyparquet/src/schema.js')
  await checkMagic(file)
  let metadata: FileMetaData | undefined
  const checks: PageChecks = new Map()
  const origins = new WeakMap<ArrayBufferLike, number>()
  /** Remembers where in the file a part begins, and its parts, which hyparquet cuts out with `slice`. */
  const placed = (part: ArrayBuffer, begin: number): ArrayBuffer => {
    origins.set(part, begin)
    part.slice = (from, to) => placed(ArrayBuffer.prototype.slice.call(part, from, to), begin + (from ?? 0))
    return part
  }
  const buffer = {
    byteLength: file.size,
    async slice(begin: number, end = file.size) {
      const bytes = new Uint8Array(await file.read(begin, end - begin))
      if (metadata) checkPages({ parquetHeader, getSchemaPath }, metadata, bytes, begin, checks)
      return placed(bytes.buffer, begin)
    },
  }
  const known = await guarded(file, async () => {
    // geographic columns would be looked for without regard to what the schema claims
    const read = await parquetMetadataAsync(buffer, { geoparquet: false })
    checkMetadata(read, file.size)
    return read
  })
  metadata = known
  return {
    features: featuresOf(known),
    async *rows() {
      const { compressors: plainCompressors } = await import('hyparquet-compressors')
      const compressors = checked(plainCompressors, (page) =>
        checks.get((origins.get(page.buffer) ?? Number.NaN) + page.byteOffset),
      )
      let rowStart = 0
      for (const { num_rows } of known.row_groups) {
        const rowEnd = rowStart + Number(num_rows)
        const options = { file: buffer, metadata: known, rowStart, rowEnd, compressors }
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
      `[data] ${file.name} is not a Parquet file that can be read: ${oneLine(messageOf(error))}`,
    )
  }
}

type Compressors = typeof import('hyparquet-compressors')['compressors']

/** Compressors that check what a page claims before it is unpacked, and what it holds after that. */
function checked(
  compressors: Compressors,
  checkOf: (packed: Uint8Array) => ((page: Uint8Array) => void) | undefined,
): Compressors {
  const wrap = (unpack: NonNullable<Compressors['GZIP']>) => (input: Uint8Array, outputLength: number) => {
    const check = checkOf(input)
    if (!check) throw new Error('a page lies where no column has one')
    checkUnpackedSize(input.length, outputLength)
    const page = unpack(input, outputLength)
    check(page)
    return page
  }
  return Object.fromEntries(
    Object.entries(compressors).map(([name, unpack]) => [name, unpack && wrap(unpack)]),
  ) as Compressors
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
  for (; left > 0 && next < schema.length; next++) left += Number(schema[next].num_children ?? 0) - 1
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
