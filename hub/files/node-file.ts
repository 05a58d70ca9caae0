import { type FileHandle, open } from 'node:fs/promises'
import { InputError, messageOf } from '../errors.ts'
import { checkRange, type RandomAccess } from './random-access.ts'

/** One call reads at most this much: Node refuses 2 GiB and over, and smaller reads let other work in between. */
const MAX_READ = 64 * 1024 * 1024

/** Opens a file for ranged reads. */
export async function openFile(path: string): Promise<RandomAccess> {
  let handle: FileHandle
  let size: number
  try {
    handle = await open(path, 'r')
  } catch (error) {
    throw new InputError(`[hub] ${path}: ${openFailure(error)}`, { cause: error })
  }
  try {
    const info = await handle.stat()
    if (!info.isFile()) throw new InputError(`[hub] ${path}: is a folder or device, not a file`)
    size = info.size
  } catch (error) {
    await handle.close()
    throw error
  }
  const readInto = async (offset: number, dest: Uint8Array) => {
    checkRange(path, size, offset, dest.length)
    for (let done = 0; done < dest.length; ) {
      const length = Math.min(dest.length - done, MAX_READ)
      const { bytesRead } = await handle.read(dest, done, length, offset + done)
      if (bytesRead === 0) throw new InputError(`[hub] ${path}: became shorter while it was read`)
      done += bytesRead
    }
  }
  const read = async (offset: number, length: number) => {
    checkRange(path, size, offset, length)
    const bytes = new Uint8Array(length)
    await readInto(offset, bytes)
    return bytes
  }
  return { name: path, size, read, readInto, close: () => handle.close() }
}

function openFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT' || code === 'ENOTDIR') return 'no such file'
  if (code === 'EACCES' || code === 'EPERM') return 'no permission to read it'
  return messageOf(error)
}
