/** Files on disk, for Node; imported only where they are needed, so that the rest runs in browsers. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { FolderReader } from './pretrained-folder.ts'

/** Writes `text` beside `path` and renames it: a reader sees the old file or the new one, whole. */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  await writeAll([[path, text]])
}

/** Writes files into a folder, made where it is missing: all beside their places, then all renamed. */
export async function writeFolder(folder: string, files: Record<string, string>): Promise<void> {
  const places = Object.entries(files).map(([name, text]): [string, string] => [join(folder, name), text])
  for (const [path] of places) await mkdir(dirname(path), { recursive: true })
  await writeAll(places)
}

async function writeAll(files: [path: string, text: string][]): Promise<void> {
  const suffix = `.${process.pid}-${randomBytes(4).toString('hex')}.tmp`
  try {
    for (const [path, text] of files) await writeFile(path + suffix, text)
    for (const [path] of files) await rename(path + suffix, path)
  } finally {
    for (const [path] of files) await rm(path + suffix, { force: true })
  }
}

/** The text of a file, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** A folder on disk. */
export function onDisk(folder: string): FolderReader {
  return {
    name: folder,
    text: (path) => readIfThere(join(folder, path)),
    list: (path) => readdir(join(folder, path)).catch(() => []),
  }
}
