import { quote } from '../errors.ts'
import type { RandomAccess } from '../files/random-access.ts'
import { MAX_PICKLE_BYTES, type TorchContents } from './contents.ts'
import { TorchFileError } from './errors.ts'
import { torchHandlers } from './torch-objects.ts'
import { unpickle } from './unpickler.ts'
import { placeOf, readZipDirectory, type StoredEntry } from './zip.ts'

/** The format of torch.save since 1.6: a zip archive with the object in `data.pkl` and a file for each storage. */
export async function readArchive(file: RandomAccess): Promise<TorchContents> {
  const entries = await readZipDirectory(file)
  const pickle = [...entries.keys()].find((name) => /^[^/]*\/data\.pkl$/.test(name))
  if (pickle === undefined) throw new TorchFileError('holds no data.pkl; is it a file of torch.save?')
  const root = pickle.slice(0, -'data.pkl'.length)
  if (entries.has(`${root}constants.pkl`))
    throw new TorchFileError(
      'is a TorchScript program, which is not run; save its state_dict with torch.save',
    )
  const load = async (name: string, entry: StoredEntry, limit: number) => {
    if (entry.size > limit)
      throw new TorchFileError(`${quote(name)} has ${entry.size} bytes, the limit is ${limit}`)
    const { offset, size } = await placeOf(file, name, entry)
    return file.read(offset, size)
  }
  const order = entries.get(`${root}byteorder`)
  if (order && new TextDecoder().decode((await load('byteorder', order, 16)).slice()) !== 'little')
    throw new TorchFileError('was written on a big-endian machine; save it again on another')
  const { value } = unpickle(await load(pickle, entries.get(pickle)!, MAX_PICKLE_BYTES), 0, torchHandlers)
  const places = new Map<string, Promise<StoredEntry>>()
  return {
    value,
    async place({ key, byteLength }) {
      const name = `${root}data/${key}`
      const entry = entries.get(name)
      if (!entry) throw new TorchFileError(`has no storage ${quote(key)}`)
      if (entry.size !== byteLength)
        throw new TorchFileError(
          `storage ${quote(key)} has ${entry.size} bytes, its tensors need ${byteLength}`,
        )
      if (!places.has(key)) places.set(key, placeOf(file, name, entry))
      return (await places.get(key)!).offset
    },
  }
}
