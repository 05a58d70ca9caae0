import type { ColumnMetaData, FileMetaData, RowGroup } from 'hyparquet'
import type { parquetHeader } from 'hyparquet/src/column.js'

/**
 * Checks of what a Parquet file claims, before hyparquet believes it: it allocates what counts say, and follows runs to their
 * end. Format: https://parquet.apache.org/docs/file-format/.
 */

/** What hyparquet needs to be asked for, loaded where it is. */
export interface Hyparquet {
  parquetHeader: typeof parquetHeader
  getSchemaPath: typeof import('hyparquet/src/schema.js').getSchemaPath
}

type PageHeader = ReturnType<typeof parquetHeader>

/** Rows for each byte of a row group: more are there only where all columns are constant. */
const ROWS_PER_BYTE = 64
const MIN_ROWS = 100_000
/** A page unpacks to at most this many bytes for each of its own; text of one letter packs better, but is no data. */
const MAX_RATIO = 2000
const MIN_PAGE = 16 * 1024 * 1024

/** What is to be checked of pages once they are unpacked, by where in the file their packed bytes begin. */
export type PageChecks = Map<number, (page: Uint8Array) => void>

/** @throws Error for a count or size that the file cannot have */
export function checkMetadata({ row_groups, num_rows, schema }: FileMetaData, fileSize: number): void {
  if (!schema.every(({ num_children: n = 0 }) => Number.isInteger(n) && n >= 0 && n < schema.length))
    throw new Error('its schema claims columns that it does not have')
  const total = row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0)
  if (total !== Number(num_rows)) throw new Error(`its row groups have ${total} rows, the file ${num_rows}`)
  for (const group of row_groups) {
    const rows = Number(group.num_rows)
    let bytes = 0
    for (const { begin, end } of chunksOf(group)) {
      if (!(begin >= 4 && begin <= end && end <= fileSize))
        throw new Error('a column lies outside of the file')
      bytes += end - begin
    }
    if (!(rows >= 0 && rows <= Math.max(MIN_ROWS, ROWS_PER_BYTE * bytes)))
      throw new Error(`a row group claims ${rows} rows in ${bytes} bytes`)
  }
}

interface Chunk {
  begin: number
  end: number
  meta: ColumnMetaData
}

function chunksOf({ columns }: RowGroup): Chunk[] {
  return columns.map(({ meta_data: meta, file_path }) => {
    if (!meta || file_path) throw new Error('the data of a column are in another file')
    const begin = Number(meta.dictionary_page_offset || meta.data_page_offset)
    return { begin, end: begin + Number(meta.total_compressed_size), meta }
  })
}

/** Checks the pages of all columns that lie in the part of the file from `start` on; what needs them unpacked goes into `later`. */
export function checkPages(
  { parquetHeader, getSchemaPath }: Hyparquet,
  { row_groups, schema }: FileMetaData,
  bytes: Uint8Array,
  start: number,
  later: PageChecks,
): void {
  const within = row_groups
    .flatMap(chunksOf)
    .filter(({ begin, end }) => begin >= start && end <= start + bytes.length)
  for (const { begin, end, meta } of within) {
    const path = getSchemaPath(schema, meta.path_in_schema).map(({ element }) => element.repetition_type)
    const levels = {
      repetition: path.filter((type) => type === 'REPEATED').length,
      definition: path.slice(1).filter((type) => type !== 'REQUIRED').length,
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, end - start)
    const reader = { view, offset: begin - start }
    let left = Number(meta.num_values)
    while (reader.offset < view.byteLength - 1 && left > 0) {
      const header = parquetHeader(reader)
      const size = header.compressed_page_size
      const at = reader.offset
      if (!(size >= 0 && at + size <= view.byteLength)) throw new Error('a page is cut off')
      if (!(header.uncompressed_page_size >= 0)) throw new Error('a page claims a size below 0')
      reader.offset += size
      left -= checkPage(header, {
        bytes: bytes.subarray(at, at + size),
        at: start + at,
        left,
        meta,
        levels,
        later,
      })
    }
  }
}

interface PagePlace {
  bytes: Uint8Array
  /** Where it begins in the file. */
  at: number
  /** Values that the column still has. */
  left: number
  meta: ColumnMetaData
  levels: { repetition: number; definition: number }
  later: PageChecks
}

/** @returns how many values the page has */
function checkPage(header: PageHeader, { bytes, at, left, meta, levels, later }: PagePlace): number {
  const isPlain = meta.codec === 'UNCOMPRESSED'
  const { data_page_header: v1, data_page_header_v2: v2, dictionary_page_header: dictionary } = header
  if (header.type === 'DICTIONARY_PAGE') {
    // a value takes a bit at least
    if (
      !(
        dictionary &&
        dictionary.num_values >= 0 &&
        dictionary.num_values <= 8 * header.uncompressed_page_size
      )
    )
      throw new Error('a dictionary claims more values than it has bits')
    if (!isPlain) later.set(at, () => {})
    return 0
  }
  const page = header.type === 'DATA_PAGE' ? v1 : header.type === 'DATA_PAGE_V2' ? v2 : undefined
  if (!page) throw new Error(`pages of type ${header.type} are not read`)
  const count = page.num_values
  if (!(count >= 0 && count <= left)) throw new Error(`a page claims ${count} values, the column has ${left}`)
  if (v2 && page === v2) {
    const { repetition_levels_byte_length: repetition, definition_levels_byte_length: definition } = v2
    if (!(v2.num_nulls >= 0 && v2.num_nulls <= count)) throw new Error('a page has more nulls than values')
    if (!(repetition >= 0 && definition >= 0 && repetition + definition <= bytes.length))
      throw new Error('the levels of a page are cut off')
    if (levels.repetition) checkRuns(bytes, 0, repetition, bits(levels.repetition), count)
    if (levels.definition)
      checkRuns(bytes, repetition, repetition + definition, bits(levels.definition), count)
    const values = (unpacked: Uint8Array) => checkValues(unpacked, 0, v2.encoding, count - v2.num_nulls)
    if (isPlain || v2.is_compressed === false) values(bytes.subarray(repetition + definition))
    else later.set(at + repetition + definition, values)
    return count
  }
  const whole = (unpacked: Uint8Array) => {
    let from = 0
    for (const level of [levels.repetition, levels.definition]) {
      if (!level) continue
      const length = uint32(unpacked, from)
      checkRuns(unpacked, from + 4, from + 4 + length, bits(level), count)
      from += 4 + length
    }
    // how many of the values are null the levels say, which are not counted here
    checkValues(unpacked, from, page.encoding, 0, count)
  }
  if (isPlain) whole(bytes)
  else later.set(at, whole)
  return count
}

/** Bits of a level up to `max`. */
const bits = (max: number): number => 32 - Math.clz32(max)

/** @param least values that must be there, and `most` that may be */
function checkValues(page: Uint8Array, at: number, encoding: string, least: number, most = least): void {
  if (most === 0) return
  if (encoding === 'RLE_DICTIONARY' || encoding === 'PLAIN_DICTIONARY') {
    const width = page[at]
    if (width > 32) throw new Error(`codes of a dictionary have ${width} bits`)
    if (width > 0) checkRuns(page, at + 1, page.length, width, most, least)
  } else if (encoding === 'RLE') checkRuns(page, at + 4, page.length, 1, most, least)
  else if (encoding.startsWith('DELTA')) {
    const [block, next] = varint(page, at)
    const [miniblocks] = varint(page, next)
    if (!(block > 0 && block <= 2 ** 20 && miniblocks > 0 && miniblocks <= 1024 && block % miniblocks === 0))
      throw new Error('a page is packed in blocks of a size that none has')
  }
}

/** Runs of repeated values and groups of packed ones must not go beyond the values that there are. */
function checkRuns(
  page: Uint8Array,
  begin: number,
  end: number,
  width: number,
  most: number,
  least = most,
): void {
  if (end > page.length) throw new Error('the runs of a page are cut off')
  let seen = 0
  for (let at = begin; seen < most; ) {
    if (at >= end) {
      if (seen >= least) return
      throw new Error('a page has fewer values than it claims')
    }
    const [header, next] = varint(page, at)
    const count = header & 1 ? (header >>> 1) * 8 : header >>> 1
    // groups of eight may be filled up, and writers round up to more of them
    if (seen + count > most + (header & 1 ? 512 : 0))
      throw new Error('a run in a page is longer than the page')
    at = next + (header & 1 ? (header >>> 1) * width : Math.ceil(width / 8))
    seen += count
  }
}

/** An unsigned LEB128 number of at most 32 bits, and where it ends. */
function varint(page: Uint8Array, at: number): [value: number, next: number] {
  let value = 0
  for (let i = 0; i < 5; i++) {
    if (at + i >= page.length) break
    value += (page[at + i] & 127) * 2 ** (7 * i)
    if (page[at + i] < 128) {
      if (value >= 2 ** 32) break
      return [value, at + i + 1]
    }
  }
  throw new Error('a number in a page has no end')
}

function uint32(page: Uint8Array, at: number): number {
  if (at + 4 > page.length) throw new Error('a page is cut off')
  return new DataView(page.buffer, page.byteOffset + at, 4).getUint32(0, true)
}

/** @throws Error for a size that no page of so many packed bytes has */
export function checkUnpackedSize(packed: number, unpacked: number): void {
  if (unpacked > Math.max(MIN_PAGE, MAX_RATIO * packed))
    throw new Error(`a page of ${packed} bytes claims to unpack to ${unpacked}`)
}
