import { quote } from '../errors.ts'
import type { RandomAccess } from '../files/random-access.ts'
import { MAX_PICKLE_BYTES, type TorchContents } from './contents.ts'
import { TorchFileError } from './errors.ts'
import { type Storage, torchHandlers } from './torch-objects.ts'
import { PickleEndsError, type PickleHandlers, type PickleValue, unpickle } from './unpickler.ts'

/**
 * The format of torch.save before 1.6 (2020), in which much of the older Hub is: a magic number, a version, a description of
 * the machine, the object and a list of the storages' keys, each a pickle, then the storages in the order of the list, each
 * its number of elements as 8 bytes and its data. Source: torch/serialization.py, `_legacy_save`.
 */
const MAGIC = 0x1950a86a20f9469cfc6cn
const FIRST_WINDOW = 1024 * 1024

/** Whether a file begins with the magic number: a pickled integer of 10 bytes. */
export function isLegacyFile(start: Uint8Array): boolean {
  return start[0] === 0x80 && start[2] === 0x8a && start[3] === 10
}

export async function readLegacyFile(file: RandomAccess): Promise<TorchContents> {
  const { value, keys, storages, end } = await readPickles(file)
  const places = new Map<string, number>()
  let at = end
  for (const key of keys) {
    const storage = storages.get(key as string)
    if (!storage) throw new TorchFileError('lists a storage that no tensor uses')
    if (at + 8 + storage.byteLength > file.size)
      throw new TorchFileError(
        `storage ${quote(storage.key)} needs more bytes than the file has; truncated, fetch it again`,
      )
    const prefix = await file.read(at, 8)
    const count = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigInt64(0, true)
    if (count !== BigInt(storage.count))
      throw new TorchFileError(
        `storage ${quote(storage.key)} has ${count} elements, its tensors need ${storage.count}`,
      )
    places.set(storage.key, at + 8)
    at += 8 + storage.byteLength
  }
  return {
    value,
    async place(storage) {
      const { key, byteLength } = storage
      const offset = places.get(key)
      if (offset === undefined || storages.get(key)?.byteLength !== byteLength)
        throw new TorchFileError(`has no storage ${quote(key)} of ${byteLength} bytes`)
      return offset
    },
  }
}

interface Pickles {
  value: PickleValue
  /** Of the storages, in the order in which their data follow. */
  keys: PickleValue[]
  storages: Map<string, Storage>
  end: number
}

/** How long the pickles are stands nowhere, so the part of the file that is read grows until they end. */
async function readPickles(file: RandomAccess): Promise<Pickles> {
  for (let window = FIRST_WINDOW; ; window *= 2) {
    const size = Math.min(window, file.size)
    try {
      return parsePickles(await file.read(0, size))
    } catch (error) {
      if (!(error instanceof PickleEndsError) || size === file.size || window >= MAX_PICKLE_BYTES) throw error
    }
  }
}

function parsePickles(bytes: Uint8Array): Pickles {
  const storages = new Map<string, Storage>()
  const handlers: PickleHandlers = {
    ...torchHandlers,
    persistent(id) {
      const storage = torchHandlers.persistent(id) as Storage
      const known = storages.get(storage.key)
      if (!known) storages.set(storage.key, storage)
      return storage
    },
  }
  let end = 0
  const next = () => {
    const { value, end: at } = unpickle(bytes, end, handlers)
    end = at
    return value
  }
  if (next() !== MAGIC) throw new TorchFileError('is not a file of torch.save')
  const [, machine, value, keys] = [next(), next(), next(), next()]
  if (!(machine instanceof Map) || machine.get('little_endian') !== true)
    throw new TorchFileError('was written on a big-endian machine; save it again on another')
  if (!Array.isArray(keys)) throw new TorchFileError('does not list its storages')
  return { value, keys, storages, end }
}
