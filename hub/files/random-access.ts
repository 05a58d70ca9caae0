import { InputError } from '../errors.ts'

/**
 * Bytes of a known length that can be read in ranges: memory, a Blob, an open file, a file on a server. A reader that
 * is given one needs to know nothing else about where a file comes from.
 */
export interface RandomAccess {
  /** For messages: a path, a URL, or `memory`. */
  readonly name: string
  /** Length in bytes. */
  readonly size: number
  /** `length` bytes from `offset`; possibly a view on the source itself, so not to be written to. */
  read(offset: number, length: number): Promise<Uint8Array>
  /** Fills `dest`, which may be a view on shared memory, with the bytes from `offset`. */
  readInto(offset: number, dest: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** Where to read from: a path (Node) or URL, a whole file in memory, a Blob or File, or anything that reads in ranges. */
export type FileInput = string | Uint8Array | ArrayBufferLike | Blob | RandomAccess

/** @throws InputError if there is no such file, or a server does not give it in ranges. */
export async function openInput(input: FileInput): Promise<RandomAccess> {
  if (typeof input === 'string') {
    if (/^https?:\/\//i.test(input)) return (await import('./http-file.ts')).openUrl(input)
    return (await import('./node-file.ts')).openFile(input)
  }
  if (input instanceof Blob) return blobAccess(input, 'name' in input ? String(input.name) : undefined)
  if (input instanceof Uint8Array || input instanceof ArrayBuffer || isShared(input))
    return memoryAccess(input)
  return input
}

/** Pages that are not cross-origin isolated have no SharedArrayBuffer at all. */
function isShared(input: object): input is SharedArrayBuffer {
  return typeof SharedArrayBuffer !== 'undefined' && input instanceof SharedArrayBuffer
}

/** A whole file in memory. `read` hands out views, no copies. */
export function memoryAccess(data: Uint8Array | ArrayBufferLike, name = 'memory'): RandomAccess {
  const bytes = data instanceof Uint8Array ? data : new Uint8Array(data)
  const range = (offset: number, length: number) => {
    checkRange(name, bytes.length, offset, length)
    return bytes.subarray(offset, offset + length)
  }
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => range(offset, length),
    readInto: async (offset, dest) => dest.set(range(offset, dest.length)),
    close: async () => {},
  }
}

/** A Blob, so also the File that a person chose in a page; only the ranges asked for come into memory. */
export function blobAccess(blob: Blob, name = 'blob'): RandomAccess {
  const read = async (offset: number, length: number) => {
    checkRange(name, blob.size, offset, length)
    return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer())
  }
  return {
    name,
    size: blob.size,
    read,
    readInto: async (offset, dest) => dest.set(await read(offset, dest.length)),
    close: async () => {},
  }
}

/** @throws InputError if the range reaches outside of `size` bytes. */
export function checkRange(name: string, size: number, offset: number, length: number): void {
  if (!(offset >= 0 && length >= 0 && offset + length <= size))
    throw new InputError(`[hub] ${name}: bytes ${offset} to ${offset + length} lie outside of its ${size}`)
}
