import { quote, SafetensorsError } from '../errors.ts'
import type { PendingFile } from '../node-pending-file.ts'
import { WEIGHTS_INDEX_NAME, WEIGHTS_NAME } from './checkpoint.ts'
import { formatShape, tensorByteLength } from './dtype.ts'
import { encodeHeader, storageOrder, type TensorSpec } from './header.ts'

/**
 * A tensor to write. `bytes` is its data, little-endian, or a function that is called once, when the turn of this
 * tensor comes: so a model that lies on a device, or in another file, passes through memory one tensor at a time.
 */
export interface TensorToWrite extends TensorSpec {
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>)
}

export interface WriteOptions {
  /** Text pairs of the header. Default `{ format: 'pt' }`, without which transformers refuses to load a file. */
  metadata?: Readonly<Record<string, string>> | null
}

const DEFAULT_METADATA = { format: 'pt' }

/**
 * Serializes tensors in memory, to the same bytes as Python's safetensors.
 *
 * @throws SafetensorsError if a name, dtype, shape or length is wrong.
 */
export async function serializeSafetensors(
  tensors: Iterable<TensorToWrite>,
  options: WriteOptions = {},
): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  await streamTo(tensors, options, async (bytes) => void parts.push(bytes))
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/**
 * Writes a safetensors file (Node). It appears at `path` only when it is complete and flushed; after an error or a
 * crash, what was there before is untouched.
 *
 * @throws SafetensorsError if a name, dtype, shape or length is wrong, InputError if the file cannot be written.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  options: WriteOptions = {},
): Promise<void> {
  const file = await pendingFile(path)
  try {
    await streamTo(tensors, options, (bytes) => file.write(bytes))
    await file.finish()
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

export interface SaveCheckpointOptions extends WriteOptions {
  /** Most bytes of tensor data in one file; a single larger tensor gets a file of its own. Default 5 GB. */
  maxShardSize?: number
}

/**
 * Writes the weights of a model as transformers' `save_pretrained` does: `model.safetensors`, or above
 * `maxShardSize` shards named `model-00001-of-0000N.safetensors` with `model.safetensors.index.json`. Nothing appears
 * in the folder before all of it is written; weight files of an earlier save that are no longer part go at the end.
 *
 * @returns the names of the files written
 */
export async function saveCheckpoint(
  folder: string,
  tensors: Iterable<TensorToWrite>,
  options: SaveCheckpointOptions = {},
): Promise<string[]> {
  const { maxShardSize = 5e9, metadata } = options
  const { join } = await import('node:path')
  const { readdir, rm } = await import('node:fs/promises')
  const shards = splitIntoShards([...tensors], maxShardSize)
  encodeHeader(shards.flat(), null) // refuses a wrong tensor, or one name in two shards, before anything is written
  const files = new Map<string, PendingFile>()
  try {
    const weightMap: Record<string, string> = {}
    for (const [i, shard] of shards.entries()) {
      const number = (n: number) => String(n).padStart(5, '0')
      const name =
        shards.length === 1 ? WEIGHTS_NAME : `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`
      const file = await pendingFile(join(folder, name))
      files.set(name, file)
      await streamTo(shard, { metadata }, (bytes) => file.write(bytes))
      await file.finish()
      for (const tensor of shard) weightMap[tensor.name] = name
    }
    if (shards.length > 1) {
      const file = await pendingFile(join(folder, WEIGHTS_INDEX_NAME))
      files.set(WEIGHTS_INDEX_NAME, file) // last, so that it is committed after the shards it lists
      await file.write(encodeIndex(weightMap, shards))
      await file.finish()
    }
    for (const file of files.values()) await file.commit()
  } catch (error) {
    for (const file of files.values()) await file.discard()
    throw error
  }
  const ours = /^model(-\d{5}-of-\d{5})?\.safetensors$/
  for (const name of await readdir(folder)) {
    if ((ours.test(name) || name === WEIGHTS_INDEX_NAME) && !files.has(name)) await rm(join(folder, name))
  }
  return [...files.keys()]
}

/** Cuts in the order given, before the tensor that would pass the limit. Always at least one shard. */
function splitIntoShards(tensors: TensorToWrite[], maxShardSize: number): TensorToWrite[][] {
  if (!(maxShardSize > 0))
    throw new SafetensorsError(`[safetensors] maxShardSize ${maxShardSize} must be over 0`)
  const shards: TensorToWrite[][] = [[]]
  let size = 0
  for (const tensor of tensors) {
    const length = byteLength(tensor)
    if (shards.at(-1)!.length > 0 && size + length > maxShardSize) {
      shards.push([])
      size = 0
    }
    shards.at(-1)!.push(tensor)
    size += length
  }
  return shards
}

function encodeIndex(weightMap: Record<string, string>, shards: TensorToWrite[][]): Uint8Array {
  const total_size = shards.flat().reduce((sum, tensor) => sum + byteLength(tensor), 0)
  const weight_map = Object.fromEntries(Object.entries(weightMap).sort(([a], [b]) => (a < b ? -1 : 1)))
  return new TextEncoder().encode(`${JSON.stringify({ metadata: { total_size }, weight_map }, null, 2)}\n`)
}

function byteLength({ name, dtype, shape }: TensorSpec): number {
  const length = tensorByteLength(dtype, shape)
  if (typeof length === 'string') throw new SafetensorsError(`[safetensors] tensor ${quote(name)}: ${length}`)
  return length
}

async function streamTo(
  tensors: Iterable<TensorToWrite>,
  { metadata = DEFAULT_METADATA }: WriteOptions,
  write: (bytes: Uint8Array) => Promise<void>,
): Promise<void> {
  const sorted = storageOrder(tensors)
  await write(encodeHeader(sorted, metadata))
  for (const tensor of sorted) {
    const { name, dtype, shape } = tensor
    const bytes = typeof tensor.bytes === 'function' ? await tensor.bytes() : tensor.bytes
    const expected = byteLength(tensor)
    if (bytes.length !== expected)
      throw new SafetensorsError(
        `[safetensors] tensor ${quote(name)}: ${dtype} ${formatShape(shape)} takes ${expected} bytes, ${bytes.length} are given`,
      )
    await write(bytes)
  }
}

async function pendingFile(path: string): Promise<PendingFile> {
  return (await import('../node-pending-file.ts')).createPendingFile(path)
}
