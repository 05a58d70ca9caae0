import { bytesOf, type GgufFile, type TensorInfo, type TensorReader } from '../../hub/index.ts'
import { type MappedTensor, unpermute } from './llama.ts'

/** The tensors of a GGUF file under the names of a checkpoint, each dequantised to float32 when it is read. */
export class GgufWeights implements TensorReader {
  readonly name: string
  readonly metadata = null
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly #file: GgufFile
  readonly #mapped: ReadonlyMap<string, MappedTensor>

  constructor(file: GgufFile, mapped: ReadonlyMap<string, MappedTensor>) {
    this.name = file.name
    this.#file = file
    this.#mapped = mapped
    const infos = Array.from(mapped, ([name, { source }]): [string, TensorInfo] => {
      const { shape } = file.info(source)
      const byteLength = shape.reduce((product, dim) => product * dim, 4)
      return [name, { name, dtype: 'F32', shape, byteLength }]
    })
    this.tensors = new Map(infos)
  }

  info(name: string): TensorInfo {
    return this.tensors.get(name) ?? (this.#file.info(name) as never) // throws: there is no such tensor
  }

  async readFloat32(name: string, dest?: Float32Array): Promise<Float32Array> {
    const { shape } = this.info(name)
    const { source, heads } = this.#mapped.get(name)!
    const values = await this.#file.readFloat32(source, dest)
    if (heads !== null) values.set(unpermute(values, heads, shape.length > 1 ? shape[1] : 1))
    return values
  }

  async read(name: string): ReturnType<TensorReader['read']> {
    const { dtype, shape } = this.info(name)
    return { name, dtype, shape, bytes: bytesOf(await this.readFloat32(name)) }
  }

  async readInto(name: string, dest: Uint8Array): Promise<void> {
    dest.set((await this.read(name)).bytes)
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
