import { messageOf, oneLine, quote, SafetensorsError } from '../errors.ts'
import type { FileInput } from '../files/random-access.ts'
import type { ModelFolder } from '../model-folder.ts'
import type { StoredTensor } from './convert.ts'
import type { TensorInfo } from './header.ts'
import { findTensor, openSafetensors, type TensorReader } from './reader.ts'

/** Names of the weight files that transformers' `save_pretrained` writes. */
export const WEIGHTS_NAME = 'model.safetensors'
export const WEIGHTS_INDEX_NAME = 'model.safetensors.index.json'
/** Names of the weight files of older models, pickled by PyTorch. */
export const TORCH_WEIGHTS_NAME = 'pytorch_model.bin'
export const TORCH_WEIGHTS_INDEX_NAME = 'pytorch_model.bin.index.json'

/** Finds one file of a model by its name within the model's folder. */
export type OpenShard = (file: string) => Promise<FileInput>

/**
 * Opens the weights of a model folder: `model.safetensors`, or the shards that `model.safetensors.index.json` lists, every
 * one of which is opened and checked before this returns. An older model that has neither: `pytorch_model.bin` or its
 * shards, read without running anything of them (`openTorchFile`).
 *
 * @param source path of a folder (Node), or an opened one
 * @throws InputError if the folder holds none of these, or if any file is missing or malformed.
 */
export async function openCheckpoint(source: string | ModelFolder): Promise<TensorReader> {
  const folder =
    typeof source === 'string' ? await (await import('../model-folder.ts')).localFolder(source) : source
  if (folder.weights) return folder.weights()
  for (const [name, indexName] of [
    [WEIGHTS_NAME, WEIGHTS_INDEX_NAME],
    [TORCH_WEIGHTS_NAME, TORCH_WEIGHTS_INDEX_NAME],
  ]) {
    const whole = await folder.open(name)
    if (whole) return openWeights(whole, name)
    const index = await folder.text(indexName)
    if (index === undefined) continue
    return openShards(`${folder.name}/${indexName}`, index, async (file) => {
      const shard = await folder.open(file)
      if (!shard) throw new SafetensorsError(`[safetensors] ${folder.name}/${file}: no such file`)
      return shard
    })
  }
  throw new SafetensorsError(
    `[safetensors] ${folder.name}: holds neither ${WEIGHTS_NAME} nor ${WEIGHTS_INDEX_NAME}, nor ${TORCH_WEIGHTS_NAME}; is it a model's folder?`,
  )
}

/** A file of weights by its kind, which its name tells: `.bin`, `.pt` and `.pth` are PyTorch's, others safetensors. */
async function openWeights(input: FileInput, file: string): Promise<TensorReader> {
  if (!/\.(bin|pth?)$/.test(file)) return openSafetensors(input)
  return (await import('../pickle/torch-file.ts')).openTorchFile(input)
}

/**
 * Opens a checkpoint in shards, of safetensors or of PyTorch's pickled files.
 *
 * @param name of the index, for messages
 * @param indexJson text of `model.safetensors.index.json`
 * @param open finds a shard; it is only asked for plain names below the model's folder
 */
export async function openShards(name: string, indexJson: string, open: OpenShard): Promise<TensorReader> {
  const weightMap = parseIndex(name, indexJson)
  const shards = new Map<string, TensorReader>()
  try {
    for (const file of new Set(weightMap.values()))
      shards.set(file, await openWeights(await open(file), file))
    for (const [tensor, file] of weightMap) {
      if (!shards.get(file)!.tensors.has(tensor))
        throw new SafetensorsError(
          `[safetensors] ${name}: lists tensor ${quote(tensor)} in ${quote(file)}, which has no such tensor`,
        )
    }
    return new ShardedCheckpoint(name, weightMap, shards)
  } catch (error) {
    for (const shard of shards.values()) await shard.close()
    throw error
  }
}

/**
 * Tensor name to shard file, from the text of an index.
 *
 * @throws SafetensorsError if the text is no index, or names a file outside of the model's folder.
 */
export function parseIndex(name: string, json: string): Map<string, string> {
  const fail = (reason: string): never => {
    throw new SafetensorsError(`[safetensors] ${name}: ${reason}`)
  }
  let index: unknown
  try {
    index = JSON.parse(json)
  } catch (error) {
    fail(`is not valid JSON: ${oneLine(messageOf(error))}`)
  }
  const map = isObject(index) ? index.weight_map : undefined
  if (!isObject(map)) return fail('has no "weight_map" from tensor names to files')
  const weightMap = new Map<string, string>()
  for (const [tensor, file] of Object.entries(map)) {
    if (typeof file !== 'string') return fail(`the file of tensor ${quote(tensor)} must be a string`)
    if (!isInnerPath(file))
      return fail(`refuses the file ${quote(file)}, which is not below the model's folder`)
    weightMap.set(tensor, file)
  }
  if (weightMap.size === 0) fail('its "weight_map" is empty')
  return weightMap
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A relative path, with `/` between its parts, that cannot leave the folder it is resolved in, on any system. */
export function isInnerPath(path: string): boolean {
  if (/[\\:\0]/.test(path)) return false // backslashes and drive letters of Windows
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
}

class ShardedCheckpoint implements TensorReader {
  readonly name: string
  readonly metadata: TensorReader['metadata']
  readonly tensors: ReadonlyMap<string, TensorInfo>
  readonly #weightMap: ReadonlyMap<string, string>
  readonly #shards: ReadonlyMap<string, TensorReader>

  constructor(
    name: string,
    weightMap: ReadonlyMap<string, string>,
    shards: ReadonlyMap<string, TensorReader>,
  ) {
    this.name = name
    this.#weightMap = weightMap
    this.#shards = shards
    this.metadata = [...shards.values()][0].metadata
    const tensors = new Map<string, TensorInfo>()
    // A shard may hold more than the index lists; as in transformers, the index decides.
    for (const [file, shard] of shards)
      for (const [tensor, info] of shard.tensors)
        if (weightMap.get(tensor) === file) tensors.set(tensor, info)
    this.tensors = tensors
  }

  info(name: string): TensorInfo {
    return findTensor(this, name)
  }

  #shardOf(name: string): TensorReader {
    this.info(name)
    return this.#shards.get(this.#weightMap.get(name)!)!
  }

  async read(name: string): Promise<StoredTensor> {
    return this.#shardOf(name).read(name)
  }

  async readInto(name: string, dest: Uint8Array): Promise<void> {
    return this.#shardOf(name).readInto(name, dest)
  }

  async readFloat32(name: string, dest?: Float32Array): Promise<Float32Array> {
    return this.#shardOf(name).readFloat32(name, dest)
  }

  async close(): Promise<void> {
    for (const shard of this.#shards.values()) await shard.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
