import { messageOf, quote } from '../errors.ts'
import { type FileInput, openInput, type RandomAccess } from '../files/random-access.ts'
import { toFloat32 } from '../safetensors/convert.ts'
import { formatShape } from '../safetensors/dtype.ts'
import { findTensor } from '../safetensors/reader.ts'
import { GgufError } from './errors.ts'
import { type GgufTensorInfo, type GgufValue, type PlacedGgufTensor, readGgufHeader } from './header.ts'

/** An open GGUF file: metadata, and tensors that are read one at a time. */
export interface GgufFile {
  readonly name: string
  /** By key, such as `general.architecture`. */
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, GgufTensorInfo>
  /** @throws InputError if there is no such tensor. */
  info(name: string): GgufTensorInfo
  /** The bytes as they are stored: blocks of the tensor's type. May be a view on the source. */
  read(name: string): Promise<Uint8Array>
  /** The elements as float32, dequantised, into `dest` if given. */
  readFloat32(name: string, dest?: Float32Array): Promise<Float32Array>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens a GGUF file, the format of llama.cpp; of a URL only the header and the tensors asked for are fetched.
 *
 * ```ts
 * await using file = await openGguf('SmolLM2-135M-Instruct-Q4_K_M.gguf')
 * console.log(file.metadata.get('general.architecture'))
 * const weight = await file.readFloat32('token_embd.weight')
 * ```
 *
 * @throws GgufError, one line that names the file, if it is malformed; InputError if it cannot be opened.
 */
export async function openGguf(input: FileInput): Promise<GgufFile> {
  const source = await openInput(input)
  try {
    return new OpenGguf(source, await readGgufHeader(source))
  } catch (error) {
    await source.close()
    if (!(error instanceof GgufError)) throw error
    throw new GgufError(`[gguf] ${source.name}: ${messageOf(error)}`)
  }
}

/** Dequantised in pieces of about this many bytes, so that a tensor takes little memory beside the result. */
const PIECE_BYTES = 1024 * 1024

class OpenGguf implements GgufFile {
  readonly name: string
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, PlacedGgufTensor>
  readonly #source: RandomAccess

  constructor(source: RandomAccess, header: Pick<GgufFile, 'metadata'> & Pick<OpenGguf, 'tensors'>) {
    this.#source = source
    this.name = source.name
    this.metadata = header.metadata
    this.tensors = header.tensors
  }

  info(name: string): PlacedGgufTensor {
    return findTensor(this, name)
  }

  async read(name: string): Promise<Uint8Array> {
    const { offset, byteLength } = this.info(name)
    return this.#source.read(offset, byteLength)
  }

  async readFloat32(name: string, dest?: Float32Array): Promise<Float32Array> {
    const { type, shape, offset, byteLength } = this.info(name)
    const { decode, bytes: blockBytes, elements } = type
    const length = (byteLength / blockBytes) * elements
    if (dest && dest.length !== length)
      throw new GgufError(
        `[gguf] tensor ${quote(name)}: ${formatShape(shape)} has ${length} elements, the destination ${dest.length}`,
      )
    const out = dest ?? new Float32Array(length)
    const piece = Math.floor(PIECE_BYTES / blockBytes) * blockBytes
    for (let at = 0, to = 0; at < byteLength; at += piece) {
      const bytes = await this.#source.read(offset + at, Math.min(piece, byteLength - at))
      const count = (bytes.length / blockBytes) * elements
      if (typeof decode === 'string') toFloat32({ name, dtype: decode, bytes }, out.subarray(to, to + count))
      else
        for (let b = 0; b * blockBytes < bytes.length; b++)
          decode(bytes, b * blockBytes, out, to + b * elements)
      to += count
    }
    return out
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
