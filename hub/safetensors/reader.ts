import { InputError, quote, SafetensorsError } from '../errors.ts'
import { type FileInput, openInput, type RandomAccess } from '../files/random-access.ts'
import { type StoredTensor, toFloat32, toTypedArray } from './convert.ts'
import { formatShape } from './dtype.ts'
import { type Header, type PlacedTensor, readHeader, type TensorInfo } from './header.ts'

/** Named tensors that are read one at a time: one file, or a checkpoint of several. */
export interface TensorReader {
  /** For messages: where the tensors come from. */
  readonly name: string
  /** The text pairs of the header, `null` where it has none. Of a checkpoint in shards: those of the first shard. */
  readonly metadata: Readonly<Record<string, string>> | null
  /** Every tensor by name, in the order of the files. */
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** @throws InputError if there is no such tensor. */
  info(name: string): TensorInfo
  /** A tensor with its bytes, which may be a view on the source. */
  read(name: string): Promise<StoredTensor>
  /** Reads the bytes of a tensor straight into `dest`, which has exactly their length and may be shared memory. */
  readInto(name: string, dest: Uint8Array): Promise<void>
  /** Reads a tensor as float32 (conversions: `toFloat32`), into `dest` if given, without a second copy in memory. */
  readFloat32(name: string, dest?: Float32Array): Promise<Float32Array>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens a safetensors file and checks its header; tensors are read when they are asked for. Of a URL only the header and
 * the ranges of those tensors are fetched.
 *
 * ```ts
 * await using file = await openSafetensors('model.safetensors')
 * for (const { name, dtype, shape } of file.tensors.values()) console.log(name, dtype, shape)
 * const weight = await file.readFloat32('embeddings.word_embeddings.weight')
 * // one tensor of the Hub, without the rest of its file
 * await using remote = await openSafetensors(await resolveUrl('bert-base-uncased', 'model.safetensors'))
 * ```
 *
 * @throws SafetensorsError, one line that names the file, if it is malformed; InputError if it cannot be opened.
 */
export async function openSafetensors(input: FileInput): Promise<TensorReader> {
  const source = await openInput(input)
  try {
    return new SafetensorsFile(source, await readHeader(source))
  } catch (error) {
    await source.close()
    throw error
  }
}

/** Converted in pieces of this many bytes, so that widening a large tensor takes little memory beside the result. */
const CONVERT_BYTES = 4 * 1024 * 1024

class SafetensorsFile implements TensorReader {
  readonly name: string
  readonly metadata: Header['metadata']
  readonly tensors: Header['tensors']
  readonly #source: RandomAccess

  constructor(source: RandomAccess, header: Header) {
    this.#source = source
    this.name = source.name
    this.metadata = header.metadata
    this.tensors = header.tensors
  }

  info(name: string): PlacedTensor {
    return findTensor(this, name)
  }

  async read(name: string): Promise<StoredTensor> {
    const { dtype, shape, offset, byteLength } = this.info(name)
    return { name, dtype, shape, bytes: await this.#source.read(offset, byteLength) }
  }

  async readInto(name: string, dest: Uint8Array): Promise<void> {
    const { dtype, shape, offset, byteLength } = this.info(name)
    if (dest.length !== byteLength)
      throw new SafetensorsError(
        `[safetensors] tensor ${quote(name)}: ${dtype} ${formatShape(shape)} takes ${byteLength} bytes, the destination has ${dest.length}`,
      )
    await this.#source.readInto(offset, dest)
  }

  async readFloat32(name: string, dest?: Float32Array): Promise<Float32Array> {
    return readFloat32At(this.#source, this.info(name), dest)
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Reads a tensor that lies in one piece as float32, into `dest` if given. */
export async function readFloat32At(
  source: RandomAccess,
  { name, dtype, shape, offset, byteLength }: PlacedTensor,
  dest?: Float32Array,
): Promise<Float32Array> {
  const length = shape.reduce((product, dim) => product * dim, 1)
  if (dest && dest.length !== length)
    throw new SafetensorsError(
      `[safetensors] tensor ${quote(name)}: ${formatShape(shape)} has ${length} elements, the destination ${dest.length}`,
    )
  const out = dest ?? new Float32Array(length)
  if (dtype === 'F32') {
    await source.readInto(offset, new Uint8Array(out.buffer, out.byteOffset, out.byteLength))
    return out
  }
  if (dtype === 'BF16') {
    await readWidened(source, offset, out)
    return out
  }
  for (let at = 0, done = 0; at < byteLength; ) {
    const bytes = await source.read(offset + at, Math.min(CONVERT_BYTES, byteLength - at))
    const count = toTypedArray({ dtype, bytes }).length
    toFloat32({ name, dtype, bytes }, out.subarray(done, done + count))
    done += count
    at += bytes.length
  }
  return out
}

/**
 * bfloat16 as float32, without memory of its own: each piece is read into the upper half of where its floats go, and widened
 * from the front, which never overtakes what is still to be read.
 */
async function readWidened(source: RandomAccess, offset: number, out: Float32Array): Promise<void> {
  const PIECE = CONVERT_BYTES / 4
  for (let at = 0; at < out.length; at += PIECE) {
    const piece = out.subarray(at, at + PIECE)
    const n = piece.length
    const bits = new Uint16Array(piece.buffer, piece.byteOffset + 2 * n, n)
    await source.readInto(offset + 2 * at, new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength))
    widenInPlace(new Uint32Array(piece.buffer, piece.byteOffset, n), bits)
  }
}

/** `bits` are the upper half of `words`. */
function widenInPlace(words: Uint32Array, bits: Uint16Array): void {
  const n = bits.length
  if (n % 2 === 0) {
    // two at a time
    const pairs = new Uint32Array(bits.buffer, bits.byteOffset, n / 2)
    for (let i = 0; i < pairs.length; i++) {
      const pair = pairs[i]
      words[2 * i] = pair << 16
      words[2 * i + 1] = pair & 0xffff0000
    }
  } else for (let i = 0; i < n; i++) words[i] = bits[i] << 16
}

/** @throws InputError that says so, with the nearest names, if `reader` has no such tensor. */
export function findTensor<Info>(
  reader: { readonly name: string; readonly tensors: ReadonlyMap<string, Info> },
  name: string,
): Info {
  const found = reader.tensors.get(name)
  if (found) return found
  const last = name.slice(name.lastIndexOf('.') + 1)
  const names = [...reader.tensors.keys()]
  const similar = names.filter((other) => other.endsWith(last)).slice(0, 3)
  const hint = (similar.length ? similar : names.slice(0, 3)).map(quote).join(', ')
  throw new InputError(
    `[hub] ${reader.name}: no tensor ${quote(name)} among its ${names.length}${hint && ` (such as ${hint})`}`,
  )
}
