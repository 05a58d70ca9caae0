import type { HubOptions, HubSettings } from './options.ts'
import type { RepoCache } from './repo-cache.ts'
import { checkRepo, type Repo } from './repo-id.ts'

/** Whether this is Node, with its file system and environment variables. */
export const isNode = typeof process !== 'undefined' && process.versions?.node !== undefined

/** What options and, in Node, the environment say. */
export async function hubSettings(options: HubOptions): Promise<HubSettings> {
  if (isNode) return (await import('./node-settings.ts')).nodeSettings(options)
  return {
    endpoint: options.endpoint ?? 'https://huggingface.co',
    token: options.token || undefined,
    cacheDir: '',
    offline: options.localFilesOnly ?? false,
    symlinks: false,
    answerTimeout: 10_000,
    readTimeout: 30_000,
  }
}

/** A repository, with the settings and the cache for it. */
export interface OpenRepo {
  repo: Repo
  settings: HubSettings
  cache: RepoCache
}

/** @throws HubError for an id that is none, or a browser without storage. */
export async function openRepo(id: string, options: HubOptions): Promise<OpenRepo> {
  const repo = checkRepo(id, options.repoType)
  const settings = await hubSettings(options)
  const cache = isNode
    ? (await import('./node-cache.ts')).nodeRepoCache(repo, settings)
    : await (await import('./browser-cache.ts')).browserRepoCache(repo)
  return { repo, settings, cache }
}
