import { hubSettings, isNode } from '../../hub/environment.ts'
import {
  download,
  type HubOptions,
  listFiles,
  openInput,
  openUrl,
  resolveUrl,
  snapshotDownload,
} from '../../hub/index.ts'
import type { DataSource } from './sources.ts'

/**
 * A data set of the Hub. In Node its files come into the Hugging Face cache as they are needed; streamed, or in a page, they
 * are read from the Hub in ranges and kept nowhere. Offline what the cache has of it serves.
 */
export async function hubSource(
  id: string,
  options: HubOptions & { streaming?: boolean },
): Promise<DataSource> {
  const hub: HubOptions = { ...options, repoType: 'dataset' }
  const { token, offline } = await hubSettings(hub)
  if (offline) {
    const { localSource } = await import('./node-source.ts')
    return { ...(await localSource(await snapshotDownload(id, hub)))!, name: id }
  }
  const paths = (await listFiles(id, hub)).map(({ path }) => path)
  const headers: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return {
    name: id,
    paths,
    async open(path) {
      if (isNode && !options.streaming) return openInput(await download(id, path, hub))
      return openUrl(await resolveUrl(id, path, hub), { headers, signal: hub.signal })
    },
  }
}
