import { mkdir, open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { guardWrite, syncFolder, writeFully } from './node-pending-file.ts'
import type { PartialBlob } from './repo-cache.ts'

const READ_BYTES = 1024 * 1024

/**
 * Where the part of a content is: Python's tools know it by its end as a download that was left, and Python itself, which
 * does not check hashes, never continues it.
 */
export const partialPath = (blob: string): string => `${blob}.tunesmith.incomplete`

/** Opens the part of a content that is there. @throws InputError where the disk does not let us write */
export async function openPartialBlob(blob: string): Promise<PartialBlob> {
  const path = partialPath(blob)
  const handle = await guardWrite(path, async () => {
    await mkdir(dirname(path), { recursive: true })
    return open(path, 'a+')
  })
  let { size } = await handle.stat()
  let isOpen = true
  const close = async () => {
    if (isOpen) {
      isOpen = false
      await handle.close()
    }
  }
  return {
    get size() {
      return size
    },
    async *read() {
      const buffer = new Uint8Array(READ_BYTES)
      for (let at = 0; at < size; ) {
        const { bytesRead } = await handle.read(buffer, 0, Math.min(READ_BYTES, size - at), at)
        if (bytesRead === 0) return
        yield buffer.subarray(0, bytesRead)
        at += bytesRead
      }
    },
    append: (bytes) =>
      guardWrite(path, async () => {
        try {
          await writeFully(handle, bytes)
        } catch (error) {
          await handle.truncate(size) // a write that failed may have written a part
          throw error
        }
        size += bytes.length
      }),
    restart: () =>
      guardWrite(path, async () => {
        await handle.truncate(0)
        size = 0
      }),
    complete: () =>
      guardWrite(path, async () => {
        await handle.sync()
        await close()
        await rename(path, blob)
        await syncFolder(dirname(blob))
      }),
    close: () => close().catch(() => {}),
  }
}
