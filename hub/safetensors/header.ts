import { messageOf, quote, SafetensorsError } from '../errors.ts'
import type { RandomAccess } from '../files/random-access.ts'
import {
  dtypeRank,
  formatShape,
  isSafetensorsDtype,
  type SafetensorsDtype,
  tensorByteLength,
} from './dtype.ts'
import { parseHeaderJson } from './header-json.ts'

/** A tensor that is there to be read, and the bytes it takes. */
export interface TensorInfo {
  readonly name: string
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly byteLength: number
}

/** A tensor and where it lies; `offset` counts bytes from the start of the file. */
export interface PlacedTensor extends TensorInfo {
  readonly offset: number
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>> | null
  readonly tensors: ReadonlyMap<string, PlacedTensor>
}

/** The format's limit. A larger header is refused unread. */
export const MAX_HEADER_BYTES = 100_000_000

const LENGTH_BYTES = 8

/**
 * Reads and checks the header of a safetensors file: 8 bytes little-endian length, JSON, then the data of all tensors,
 * which must fill the rest of the file without gap or overlap (https://github.com/huggingface/safetensors#format).
 * Nothing is allocated beyond the header, and that only once the file is known to be long enough to hold it.
 *
 * @throws SafetensorsError, one line that names the file, for everything that Python's safetensors 0.8 refuses.
 */
export async function readHeader(file: RandomAccess): Promise<Header> {
  try {
    const dataStart = await readDataStart(file)
    const bytes = await file.read(LENGTH_BYTES, dataStart - LENGTH_BYTES)
    return checkHeader(decodeUtf8(bytes), dataStart, file.size)
  } catch (error) {
    if (!(error instanceof SafetensorsError)) throw error
    throw new SafetensorsError(`[safetensors] ${file.name}: ${messageOf(error)}`)
  }
}

async function readDataStart(file: RandomAccess): Promise<number> {
  if (file.size < LENGTH_BYTES)
    throw new SafetensorsError(`${file.size} bytes are too few for a safetensors file; fetch it again`)
  const prefix = await file.read(0, LENGTH_BYTES)
  const length = new DataView(prefix.buffer, prefix.byteOffset, LENGTH_BYTES).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES))
    throw new SafetensorsError(
      `claims a header of ${length} bytes, the limit is ${MAX_HEADER_BYTES}; not a safetensors file`,
    )
  const dataStart = LENGTH_BYTES + Number(length)
  if (dataStart > file.size)
    throw new SafetensorsError(
      `its header needs ${length} bytes, the file ends after ${file.size - LENGTH_BYTES}; truncated, fetch it again`,
    )
  return dataStart
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // ignoreBOM keeps a byte order mark in the text, where the parser refuses it. TextDecoder takes no shared memory.
    const own = bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes)
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(own)
  } catch {
    throw new SafetensorsError('the header is not valid UTF-8')
  }
}

function checkHeader(json: string, dataStart: number, fileSize: number): Header {
  const { metadata, entries } = parseHeaderJson(json)
  const byPlace = [...entries].sort(
    ([, a], [, b]) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1],
  )
  const tensors = new Map<string, PlacedTensor>()
  let expected = 0 // where the next tensor must begin, from the start of the data
  for (const [name, { dtype, shape, offsets }] of byPlace) {
    const [begin, end] = offsets
    const fail = (reason: string): never => {
      throw new SafetensorsError(`tensor ${quote(name)}: ${reason}`)
    }
    if (!isSafetensorsDtype(dtype)) return fail(`unknown dtype ${quote(dtype)}`)
    if (begin !== expected || end < begin)
      return fail(`bytes ${begin} to ${end} leave a gap or overlap, they must begin at ${expected}`)
    const byteLength = tensorByteLength(dtype, shape)
    if (typeof byteLength === 'string') return fail(byteLength)
    if (byteLength !== end - begin)
      return fail(`${dtype} ${formatShape(shape)} takes ${byteLength} bytes, ${end - begin} are reserved`)
    tensors.set(name, { name, dtype, shape, offset: dataStart + begin, byteLength })
    expected = end
  }
  const dataBytes = fileSize - dataStart
  if (expected > dataBytes)
    throw new SafetensorsError(
      `its tensors need ${expected} bytes, the file has ${dataBytes}; truncated, fetch it again`,
    )
  if (expected < dataBytes)
    throw new SafetensorsError(
      `its tensors take ${expected} bytes, the file has ${dataBytes}: unknown data at the end`,
    )
  return { metadata: metadata && Object.fromEntries(metadata), tensors }
}

/** What the writer needs to know of a tensor before its bytes. */
export interface TensorSpec {
  readonly name: string
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
}

/**
 * Sorts tensors as Python's safetensors stores them: dtypes by descending rank, which puts the widest first and so
 * keeps every tensor aligned, then names in code point order.
 */
export function storageOrder<T extends TensorSpec>(tensors: Iterable<T>): T[] {
  return [...tensors].sort(
    (a, b) => dtypeRank(b.dtype) - dtypeRank(a.dtype) || compareCodePoints(a.name, b.name),
  )
}

/** Unlike `<`, which compares UTF-16 units and so sorts U+10000 before U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  let at = 0
  while (at < a.length && a.charCodeAt(at) === b.charCodeAt(at)) at++
  if (at === a.length || at === b.length) return a.length - b.length
  // Behind a common high surrogate, the low ones alone already order the pair.
  return a.codePointAt(at)! - b.codePointAt(at)!
}

/**
 * The length prefix and header of a file that holds `tensors` in the order given, padded with spaces to a multiple
 * of 8 bytes. The same bytes as Python's safetensors writes for the same tensors and at most one metadata key.
 *
 * @throws SafetensorsError for a name given twice or reserved, text that is not valid Unicode, a dtype or shape that
 * the format has not, and a header over the format's limit.
 */
export function encodeHeader(
  tensors: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>> | null,
): Uint8Array {
  const members = metadata ? [`"__metadata__":${encodeMetadata(metadata)}`] : []
  const seen = new Set<string>()
  let end = 0
  for (const { name, dtype, shape } of tensors) {
    const fail = (reason: string): never => {
      throw new SafetensorsError(`[safetensors] tensor ${quote(name)}: ${reason}`)
    }
    if (name === '__metadata__') fail('this name is reserved by the format')
    if (!name.isWellFormed()) fail('the name holds half of a surrogate pair')
    if (seen.has(name)) fail('given twice')
    seen.add(name)
    if (!isSafetensorsDtype(dtype)) fail(`unknown dtype ${quote(dtype)}`)
    if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0))
      fail(`shape ${formatShape(shape)} is not one`)
    const byteLength = tensorByteLength(dtype, shape)
    if (typeof byteLength === 'string') return fail(byteLength)
    const begin = end
    end += byteLength
    members.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, end] })}`)
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`)
  const length = Math.ceil(json.length / 8) * 8
  if (length > MAX_HEADER_BYTES)
    throw new SafetensorsError(
      `[safetensors] a header of ${length} bytes is over the limit of ${MAX_HEADER_BYTES}`,
    )
  const bytes = new Uint8Array(LENGTH_BYTES + length).fill(0x20)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true)
  bytes.set(json, LENGTH_BYTES)
  return bytes
}

function encodeMetadata(metadata: Readonly<Record<string, string>>): string {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string')
      throw new SafetensorsError(`[safetensors] metadata ${quote(key)} must be a string`)
    if (!key.isWellFormed() || !value.isWellFormed())
      throw new SafetensorsError(`[safetensors] metadata ${quote(key)} holds half of a surrogate pair`)
  }
  return JSON.stringify(metadata)
}
