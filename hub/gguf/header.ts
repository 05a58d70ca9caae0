import { messageOf, oneLine, quote } from '../errors.ts'
import type { RandomAccess } from '../files/random-access.ts'
import { formatShape } from '../safetensors/dtype.ts'
import { GgufError } from './errors.ts'
import { type GgmlType, ggmlType, ggmlTypeNames } from './types.ts'

/** A value of the metadata; 64-bit integers are bigints. */
export type GgufValue = string | number | bigint | boolean | GgufValue[]

/** A tensor of a GGUF file. */
export interface GgufTensorInfo {
  readonly name: string
  /** Name of the type as llama.cpp writes it, such as `Q4_K`. */
  readonly dtype: string
  /** In PyTorch's order, the rows first. */
  readonly shape: readonly number[]
  readonly byteLength: number
}

export interface PlacedGgufTensor extends GgufTensorInfo {
  readonly type: GgmlType
  /** From the start of the file. */
  readonly offset: number
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, PlacedGgufTensor>
}

/** Least bytes of an entry of the metadata, and of the list of tensors. */
const MIN_ENTRY = 13
const MIN_TENSOR = 24

/**
 * Reads metadata and tensor list of a GGUF file, versions 2 and 3, with `@huggingface/gguf`, and checks what it says against
 * the file: counts before they are believed, and that every tensor lies inside.
 *
 * @throws GgufError for what is malformed, big-endian, or of a type that is not read
 */
export async function readGgufHeader(file: RandomAccess): Promise<GgufHeader> {
  await checkStart(file)
  const { gguf } = await import('@huggingface/gguf')
  let parsed: Awaited<ReturnType<typeof gguf>>
  try {
    // The parser asks for ranges of an address; here they come from the file.
    parsed = await gguf('https://gguf.invalid/', { fetch: rangesOf(file) })
  } catch (error) {
    throw new GgufError(oneLine(messageOf(error)))
  }
  const dataStart = Number(parsed.tensorDataOffset)
  const tensors = new Map<string, PlacedGgufTensor>()
  for (const { name, shape, dtype, offset } of parsed.tensorInfos) {
    const fail = (reason: string): never => {
      throw new GgufError(`tensor ${quote(name)}: ${reason}`)
    }
    const type = ggmlType(dtype)
    if (!type) return fail(`type ${dtype} is not read; choose a file in one of ${ggmlTypeNames.join(', ')}`)
    const dims = shape.map(Number).reverse()
    const elements = dims.reduce((product, dim) => product * dim, 1)
    if ((dims.at(-1) ?? 1) % type.elements !== 0)
      fail(`rows of shape ${formatShape(dims)} are not made of whole blocks of ${type.name}`)
    const byteLength = (elements / type.elements) * type.bytes
    const begin = dataStart + Number(offset)
    if (!(begin + byteLength <= file.size))
      fail(`${type.name} ${formatShape(dims)} needs more bytes than the file has; truncated, fetch it again`)
    if (tensors.has(name)) fail('is there twice')
    tensors.set(name, { name, dtype: type.name, shape: dims, byteLength, type, offset: begin })
  }
  return { metadata: new Map(Object.entries(parsed.metadata) as [string, GgufValue][]), tensors }
}

/** The first 24 bytes: magic number, version, number of tensors and of metadata entries. */
async function checkStart(file: RandomAccess): Promise<void> {
  if (file.size < 24) throw new GgufError(`${file.size} bytes are too few for a GGUF file; fetch it again`)
  const bytes = await file.read(0, 24)
  const view = new DataView(bytes.buffer, bytes.byteOffset, 24)
  if (view.getUint32(0, true) !== 0x46554747)
    throw new GgufError('does not begin with GGUF; is it a GGUF file?')
  const version = view.getUint32(4, true)
  if (version !== 2 && version !== 3)
    throw new GgufError(`is of version ${version}, or big-endian; versions 2 and 3 are read`)
  const [tensors, entries] = [view.getBigUint64(8, true), view.getBigUint64(16, true)]
  if (tensors * BigInt(MIN_TENSOR) + entries * BigInt(MIN_ENTRY) > BigInt(file.size))
    throw new GgufError(
      `claims ${tensors} tensors and ${entries} metadata entries in ${file.size} bytes; truncated, or no GGUF file`,
    )
}

/** Answers range requests from the file. The parser reads ahead of what it needs, so one answer may be empty, not more. */
function rangesOf(file: RandomAccess): typeof fetch {
  let isPastEnd = false
  return async (_, init) => {
    const range = new Headers(init?.headers).get('range') ?? ''
    const [begin, last] = (/^bytes=(\d+)-(\d+)$/.exec(range)?.slice(1) ?? ['0', '0']).map(Number)
    const end = Math.min(last + 1, file.size)
    if (begin >= end) {
      if (isPastEnd) throw new GgufError('ends within its metadata; truncated, fetch it again')
      isPastEnd = true
    }
    const bytes = begin < end ? await file.read(begin, end - begin) : new Uint8Array(0)
    return new Response(new Uint8Array(bytes), {
      status: 206,
      headers: { 'Content-Range': `bytes ${begin}-${end - 1}/${file.size}` },
    })
  }
}
