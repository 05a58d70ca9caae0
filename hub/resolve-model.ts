import { snapshotDownload } from './download.ts'
import { isNode } from './environment.ts'
import { HubError } from './errors.ts'
import type { SnapshotOptions } from './options.ts'
import { looksLikePath } from './repo-id.ts'

/**
 * The local folder of a model (Node). A folder is returned as it is; an id of the Hub goes to `snapshotDownload`.
 *
 * ```ts
 * const folder = await resolveModel('sentence-transformers/all-MiniLM-L6-v2')
 * await using weights = await openCheckpoint(folder)
 * ```
 *
 * @throws HubError for a folder that is not there, and as `snapshotDownload` does.
 */
export async function resolveModel(idOrFolder: string, options: SnapshotOptions = {}): Promise<string> {
  if (isNode) {
    const { stat } = await import('node:fs/promises')
    const local = await stat(idOrFolder).catch(() => undefined)
    if (local?.isDirectory()) return idOrFolder
    if (local) throw new HubError(`[hub] ${idOrFolder} is a file; give the folder of the model`)
    if (looksLikePath(idOrFolder)) throw new HubError(`[hub] there is no folder ${idOrFolder}`)
  }
  return snapshotDownload(idOrFolder, options)
}
