import { quote } from '../errors.ts'
import type { RandomAccess } from '../files/random-access.ts'
import { TorchFileError } from './errors.ts'

/** Where the bytes of a file in an archive lie. */
export interface StoredEntry {
  offset: number
  size: number
  /** Neither compressed nor encrypted. */
  isPlain: boolean
}

const END = 0x06054b50
const END64 = 0x06064b50
const LOCATOR64 = 0x07064b50
const CENTRAL = 0x02014b50
const LOCAL = 0x04034b50
/** The end record with the longest comment. */
const MAX_END = 22 + 0xffff
/** A directory of a model has an entry a tensor; one beyond this is no model's. */
const MAX_DIRECTORY = 256 * 1024 * 1024

/**
 * The directory of a zip archive whose files are stored as they are (PKWARE APPNOTE 6.3.10, with zip64), as PyTorch writes
 * them, so that a tensor can be read in place. Own code, because libraries give streams of contents, not their places.
 *
 * @throws TorchFileError if it is no archive or cut off, or places lie outside of the file.
 */
export async function readZipDirectory(file: RandomAccess): Promise<Map<string, StoredEntry>> {
  const { offset, size, count } = await findDirectory(file)
  const bytes = await file.read(offset, size)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const entries = new Map<string, StoredEntry>()
  for (let at = 0, i = 0; i < count; i++) {
    if (at + 46 > size || view.getUint32(at, true) !== CENTRAL)
      throw new TorchFileError(`entry ${i} of its zip directory is malformed`)
    const nameLength = view.getUint16(at + 28, true)
    const extraLength = view.getUint16(at + 30, true)
    const end = at + 46 + nameLength + extraLength + view.getUint16(at + 32, true)
    if (end > size) throw new TorchFileError(`entry ${i} of its zip directory is cut off`)
    const name = new TextDecoder().decode(bytes.slice(at + 46, at + 46 + nameLength))
    const place = entryPlace(view, at, nameLength, extraLength)
    if (entries.has(name)) throw new TorchFileError(`${quote(name)} is there twice`)
    if (place.header + 30 + place.packed > file.size)
      throw new TorchFileError(`${quote(name)} needs more bytes than the file has; truncated, fetch it again`)
    const isStored = (view.getUint16(at + 8, true) & 1) === 0 && view.getUint16(at + 10, true) === 0
    const isPlain = isStored && place.packed === place.size
    entries.set(name, { offset: place.header, size: place.size, isPlain })
    at = end
  }
  return entries
}

/** Where the bytes of an entry of the directory begin: its own header, which may be longer than the directory says, comes first. */
export async function placeOf(file: RandomAccess, name: string, entry: StoredEntry): Promise<StoredEntry> {
  if (!entry.isPlain)
    throw new TorchFileError(`${quote(name)} is compressed or encrypted, which torch.save never does`)
  const bytes = await file.read(entry.offset, 30)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 30)
  if (view.getUint32(0, true) !== LOCAL)
    throw new TorchFileError(`${quote(name)} is not where the zip directory says`)
  const offset = entry.offset + 30 + view.getUint16(26, true) + view.getUint16(28, true)
  if (offset + entry.size > file.size)
    throw new TorchFileError(`${quote(name)} needs more bytes than the file has; truncated, fetch it again`)
  return { ...entry, offset }
}

async function findDirectory(file: RandomAccess): Promise<{ offset: number; size: number; count: number }> {
  const length = Math.min(file.size, MAX_END)
  const begin = file.size - length
  const bytes = await file.read(begin, length)
  const view = new DataView(bytes.buffer, bytes.byteOffset, length)
  let at = length - 22
  while (at >= 0 && view.getUint32(at, true) !== END) at--
  if (at < 0) throw new TorchFileError('its zip directory is missing; truncated, fetch it again')
  let directory = {
    count: view.getUint16(at + 10, true),
    size: view.getUint32(at + 12, true),
    offset: view.getUint32(at + 16, true),
  }
  if (directory.count === 0xffff || directory.size === 0xffffffff || directory.offset === 0xffffffff)
    directory = await zip64Directory(file, begin + at)
  const { count, size, offset } = directory
  if (offset + size > file.size || size > MAX_DIRECTORY || count * 46 > size)
    throw new TorchFileError(`its zip directory claims ${count} entries in ${size} bytes at ${offset}`)
  return directory
}

async function zip64Directory(
  file: RandomAccess,
  end: number,
): Promise<{ offset: number; size: number; count: number }> {
  const fail = () => new TorchFileError('its zip64 directory is malformed')
  if (end < 20) throw fail()
  const locator = viewOf(await file.read(end - 20, 20))
  const place = Number(locator.getBigUint64(8, true))
  if (locator.getUint32(0, true) !== LOCATOR64 || place + 56 > file.size) throw fail()
  const record = viewOf(await file.read(place, 56))
  if (record.getUint32(0, true) !== END64) throw fail()
  return {
    count: Number(record.getBigUint64(32, true)),
    size: Number(record.getBigUint64(40, true)),
    offset: Number(record.getBigUint64(48, true)),
  }
}

/** Sizes and place of an entry: 32-bit fields, or, where these are full, 64-bit ones of the extra field 1, in this order. */
function entryPlace(
  view: DataView,
  at: number,
  nameLength: number,
  extraLength: number,
): { size: number; packed: number; header: number } {
  const place = {
    size: view.getUint32(at + 24, true),
    packed: view.getUint32(at + 20, true),
    header: view.getUint32(at + 42, true),
  }
  const extraEnd = at + 46 + nameLength + extraLength
  for (let extra = extraEnd - extraLength; extra + 4 <= extraEnd; ) {
    const end = extra + 4 + view.getUint16(extra + 2, true)
    if (end > extraEnd) throw new TorchFileError('an extra field of its zip directory is cut off')
    if (view.getUint16(extra, true) === 1) {
      let field = extra + 4
      for (const key of ['size', 'packed', 'header'] as const) {
        if (place[key] !== 0xffffffff || field + 8 > end) continue
        place[key] = Number(view.getBigUint64(field, true))
        field += 8
      }
    }
    extra = end
  }
  return place
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
