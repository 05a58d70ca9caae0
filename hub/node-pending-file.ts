import { randomBytes } from 'node:crypto'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

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

/** Begins to write `path`, making its folder where it is missing. */
export async function createPendingFile(path: string): Promise<PendingFile> {
  await mkdir(dirname(path), { recursive: true })
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const handle = await open(temporary, 'wx')
  let closed = false
  const close = async () => {
    if (closed) return
    closed = true
    await handle.close()
  }
  return {
    async write(bytes) {
      for (let done = 0; done < bytes.length; ) {
        const length = Math.min(bytes.length - done, MAX_WRITE)
        done += (await handle.write(bytes, done, length)).bytesWritten
      }
    },
    async finish() {
      await handle.sync()
      await close()
    },
    async commit() {
      await rename(temporary, path)
      await syncFolder(dirname(path))
    },
    async discard() {
      await close().catch(() => {})
      await rm(temporary, { force: true }).catch(() => {})
    },
  }
}

/** Makes a rename durable. Windows has no such call and needs none. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined)
  await handle?.sync().catch(() => {})
  await handle?.close()
}
