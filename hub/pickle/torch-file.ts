import { messageOf, quote } from '../errors.ts'
import { type FileInput, openInput, type RandomAccess } from '../files/random-access.ts'
import type { StoredTensor } from '../safetensors/convert.ts'
import { toFloat32 } from '../safetensors/convert.ts'
import { formatShape } from '../safetensors/dtype.ts'
import type { TensorInfo } from '../safetensors/header.ts'
import { findTensor, readFloat32At, type TensorReader } from '../safetensors/reader.ts'
import { readArchive } from './archive.ts'
import type { TorchContents } from './contents.ts'
import { TorchFileError } from './errors.ts'
import { isLegacyFile, readLegacyFile } from './legacy.ts'
import { elementBytes, TorchTensor } from './torch-objects.ts'
import type { PickleValue } from './unpickler.ts'

/**
 * Opens a file of `torch.save`, such as `pytorch_model.bin`, as named tensors: a state dict, or one under `state_dict` or
 * `model` of a training checkpoint. Tensors are read when they are asked for.
 *
 * A pickle is a program, and loading one in Python runs it. Here nothing is run or imported: what is not a tensor, number,
 * text, list or dict is refused by name. Every size, offset and stride is checked against the file before it is used.
 *
 * @throws TorchFileError, one line that names the file, if it is malformed or refused; InputError if it cannot be opened.
 */
export async function openTorchFile(input: FileInput): Promise<TensorReader> {
  const source = await openInput(input)
  try {
    const contents = await readContents(source)
    return new TorchFile(source, contents, stateDict(contents.value))
  } catch (error) {
    await source.close()
    if (!(error instanceof TorchFileError)) throw error
    throw new TorchFileError(`[torch] ${source.name}: ${messageOf(error)}`)
  }
}

async function readContents(file: RandomAccess): Promise<TorchContents> {
  const start = await file.read(0, Math.min(file.size, 16))
  if (start[0] === 0x50 && start[1] === 0x4b) return readArchive(file)
  if (isLegacyFile(start)) return readLegacyFile(file)
  throw new TorchFileError('is not a file of torch.save')
}

/** The tensors of a dict by name; what else it holds (epochs, settings) is left out. */
function stateDict(value: PickleValue): Map<string, TorchTensor> {
  if (!(value instanceof Map))
    throw new TorchFileError('holds no dict of tensors; save a state_dict with torch.save')
  for (const key of ['state_dict', 'model_state_dict', 'model']) {
    const inner = value.get(key)
    if (inner instanceof Map) return stateDict(inner)
  }
  const tensors = new Map<string, TorchTensor>()
  for (const [name, item] of value)
    if (typeof name === 'string' && item instanceof TorchTensor) tensors.set(name, item)
  if (tensors.size === 0) throw new TorchFileError('holds a dict without tensors')
  return tensors
}

class TorchFile implements TensorReader {
  readonly name: string
  readonly metadata = null
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly #source: RandomAccess
  readonly #contents: TorchContents
  readonly #views: ReadonlyMap<string, TorchTensor>

  constructor(source: RandomAccess, contents: TorchContents, views: ReadonlyMap<string, TorchTensor>) {
    this.name = source.name
    this.#source = source
    this.#contents = contents
    this.#views = views
    const infos = Array.from(views, ([name, { dtype, shape }]): [string, TensorInfo] => {
      const byteLength = shape.reduce((product, dim) => product * dim, elementBytes(dtype))
      return [name, { name, dtype, shape, byteLength }]
    })
    this.tensors = new Map(infos)
  }

  info(name: string): TensorInfo {
    return findTensor(this, name)
  }

  /** Where a tensor's elements lie: the whole of a contiguous one, else the part of its storage that it is spread over. */
  async #span(name: string): Promise<{ view: TorchTensor; offset: number; byteLength: number }> {
    const info = this.info(name)
    const view = this.#views.get(name)!
    try {
      const width = elementBytes(view.dtype)
      const offset = (await this.#contents.place(view.storage)) + view.offset * width
      const spread = info.byteLength === 0 ? 0 : (view.last - view.offset + 1) * width
      return { view, offset, byteLength: view.isContiguous ? info.byteLength : spread }
    } catch (error) {
      if (!(error instanceof TorchFileError)) throw error
      throw new TorchFileError(`[torch] ${this.name}: tensor ${quote(name)}: ${messageOf(error)}`)
    }
  }

  async read(name: string): Promise<StoredTensor> {
    const { dtype, shape, byteLength } = this.info(name)
    const { view, ...span } = await this.#span(name)
    const bytes = await this.#source.read(span.offset, span.byteLength)
    return { name, dtype, shape, bytes: view.isContiguous ? bytes : gather(view, bytes, byteLength) }
  }

  async readInto(name: string, dest: Uint8Array): Promise<void> {
    const { dtype, shape, byteLength } = this.info(name)
    if (dest.length !== byteLength)
      throw new TorchFileError(
        `[torch] tensor ${quote(name)}: ${dtype} ${formatShape(shape)} takes ${byteLength} bytes, the destination has ${dest.length}`,
      )
    const { view, offset } = await this.#span(name)
    if (view.isContiguous) await this.#source.readInto(offset, dest)
    else dest.set((await this.read(name)).bytes)
  }

  async readFloat32(name: string, dest?: Float32Array): Promise<Float32Array> {
    const info = this.info(name)
    const { view, offset } = await this.#span(name)
    if (view.isContiguous) return readFloat32At(this.#source, { ...info, offset }, dest)
    return toFloat32(await this.read(name), dest)
  }

  close(): Promise<void> {
    return this.#source.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** The elements of a view one after the other, from the bytes that begin with its first. */
function gather({ dtype, shape, strides }: TorchTensor, bytes: Uint8Array, byteLength: number): Uint8Array {
  const width = elementBytes(dtype)
  const out = new Uint8Array(byteLength)
  const index = new Array<number>(shape.length).fill(0)
  let from = 0
  for (let to = 0; to < byteLength; to += width) {
    for (let i = 0; i < width; i++) out[to + i] = bytes[from + i]
    for (let d = shape.length - 1; d >= 0; d--) {
      from += strides[d] * width
      if (++index[d] < shape[d]) break
      from -= strides[d] * width * shape[d]
      index[d] = 0
    }
  }
  return out
}
