import { listFiles } from '@huggingface/hub'
import { HubError, messageOf } from '../../hub/errors.ts'
import { type HubOptions, openUrl } from '../../hub/index.ts'
import { checkRepoId, checkRevision } from '../../hub/repo-id.ts'
import type { DataSource } from './sources.ts'

/** A data set of the Hub, read from there in ranges. */
export async function hubSource(id: string, options: HubOptions): Promise<DataSource> {
  const { revision = 'main', signal } = options
  checkRepoId(id)
  checkRevision(revision)
  const { hubSettings } = await import('../../hub/node-cache.ts')
  const { localFilesOnly, token: given, endpoint: address, cacheDir } = options
  const { endpoint, token, offline } = await hubSettings({
    offline: localFilesOnly,
    token: given,
    endpoint: address,
    cacheDir,
  })
  if (offline)
    throw new HubError(`[data] ${id} is not read offline; give a local folder, or unset HF_HUB_OFFLINE`)
  const paths: string[] = []
  try {
    const repo = { type: 'dataset', name: id } as const
    const access = token === undefined ? {} : { accessToken: token }
    for await (const { type, path } of listFiles({
      repo,
      revision,
      recursive: true,
      hubUrl: endpoint,
      ...access,
    }))
      if (type === 'file') paths.push(path)
  } catch (error) {
    signal?.throwIfAborted()
    throw new HubError(
      `[data] the files of ${id} cannot be listed: ${messageOf(error)}; check the id and the network`,
    )
  }
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return {
    name: id,
    paths,
    open(path) {
      const file = path.split('/').map(encodeURIComponent).join('/')
      return openUrl(`${endpoint}/datasets/${id}/resolve/${revision}/${file}`, { headers, signal })
    },
  }
}
