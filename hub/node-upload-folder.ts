import { openAsBlob } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join, relative, sep } from 'node:path'
import { HubError } from './errors.ts'
import type { UploadFile } from './upload.ts'

/**
 * All files below a folder, read when they are sent. Links to files are followed, since snapshots in the cache are made of
 * them; links to folders are not, since they may go round in circles.
 *
 * @throws HubError if there is no such folder.
 */
export async function uploadFolder(folder: string): Promise<UploadFile[]> {
  if (!(await stat(folder).catch(() => undefined))?.isDirectory())
    throw new HubError(`[hub] there is no folder ${folder} to upload`)
  const files: UploadFile[] = []
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const isFile = (await stat(path).catch(() => undefined))?.isFile()
    if (isFile)
      files.push({ path: relative(folder, path).replaceAll(sep, '/'), content: await openAsBlob(path) })
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}
