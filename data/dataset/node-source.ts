import { readdir, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { openInput } from '../../hub/index.ts'
import type { DataSource } from './sources.ts'

/** A file, or a folder with all below but what begins with a dot; undefined if there is neither. */
export async function localSource(path: string): Promise<DataSource | undefined> {
  const info = await stat(path).catch(() => undefined)
  if (info?.isFile()) return { name: path, paths: [path.split(/[\\/]/).at(-1)!], open: () => openInput(path) }
  if (!info?.isDirectory()) return undefined
  const entries = await readdir(path, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter((entry) => entry.isFile() || entry.isSymbolicLink())
    .map(({ parentPath, name }) => join(parentPath, name).slice(join(path, sep).length).replaceAll(sep, '/'))
    .filter((file) => !file.split('/').some((part) => part.startsWith('.')))
  return { name: path, paths, open: (file) => openInput(join(path, file)) }
}
