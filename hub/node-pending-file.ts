import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { InputError, messageOf } from './errors.ts'

/** One call writes at most this much, so that other work can run in between. */
const MAX_WRITE = 64 * 1024 * 1024

/** A file that is written beside its final place and appears there only when it is complete and on the disk. */
export interface PendingFile {
  write(bytes: Uint8Array): Promise<void>
  /** Flushes to the disk. The file can be committed after that. */
  finish(): Promise<void>
  /** Moves the finished file to its place, over what was there. */
  commit(): Promise<void>
  /** Removes what was written, unless it was committed. Never throws. */
  discard(): Promise<void>
}

/**
 * Begins to write `path`, making its folder where it is missing.
 *
 * @throws InputError, here and from the methods, where the system refuses: no permission, no space, a folder in place.
 */
export async function createPendingFile(path: string): Promise<PendingFile> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await guardWrite(path, async () => {
    await mkdir(dirname(path), { recursive: true })
    return open(temporary, 'wx')
  })
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    await handle.close()
  }
  return {
    write: (bytes) => guardWrite(path, () => writeFully(handle, bytes)),
    finish: () =>
      guardWrite(path, async () => {
        await handle.sync()
        await close()
      }),
    commit: () =>
      guardWrite(path, async () => {
        await rename(temporary, path)
        await syncFolder(dirname(path))
      }),
    async discard() {
      await close().catch(() => {})
      await rm(temporary, { force: true }).catch(() => {})
    },
  }
}

/** Writes a text file that appears only when it is complete. @throws InputError */
export async function writeFileAtomically(path: string, text: string): Promise<void> {
  const file = await createPendingFile(path)
  try {
    await file.write(new TextEncoder().encode(text))
    await file.finish()
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}

/** @throws InputError, one line that says why `path` cannot be written, where `action` fails. */
export async function guardWrite<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (error) {
    throw new InputError(`[hub] cannot write ${path}: ${reasonOf(error)}`, { cause: error })
  }
}

/** Writes at the end of what was written: one call of the system may write less than it was given. */
export async function writeFully(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const length = Math.min(bytes.length - done, MAX_WRITE)
    done += (await handle.write(bytes, done, length)).bytesWritten
  }
}

function reasonOf(error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return 'the disk is full; make room, or choose another disk'
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'no permission to write there'
    case 'EISDIR':
      return 'there is a folder of this name'
    case 'EEXIST':
    case 'ENOTDIR':
      return 'a part of its path is a file'
    default:
      return messageOf(error)
  }
}

/** Makes a rename durable. Windows has no such call and needs none. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => {})
  await handle?.close()
}
