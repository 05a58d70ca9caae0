import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { HubError, messageOf } from './errors.ts'
import { openFile } from './files/node-file.ts'
import type { ModelFolder } from './model-folder.ts'

const isMissing = (error: unknown): boolean => {
  const { code } = error as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
}

/** The files of a folder on disk. */
export function localFolder(folder: string): ModelFolder {
  return {
    name: folder,
    async text(path) {
      const file = join(folder, path)
      try {
        return await readFile(file, 'utf8')
      } catch (error) {
        if (isMissing(error)) return undefined
        throw new HubError(`[hub] ${file} cannot be read: ${messageOf(error)}`, { cause: error })
      }
    },
    async open(path) {
      const file = join(folder, path)
      return (await fileSize(file)) === undefined ? undefined : openFile(file)
    },
    list: (path) => readdir(join(folder, path)).catch(() => []),
  }
}

/** Size of a file, links followed; `undefined` if there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined)
  return info?.isFile() ? info.size : undefined
}
