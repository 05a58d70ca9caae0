import { fileUrl, hubClient } from './client.ts'
import { hubSettings } from './environment.ts'
import { HubError } from './errors.ts'
import type { ConnectionOptions } from './options.ts'
import type { RemoteFile } from './remote-file.ts'
import { checkRepo, checkRevision } from './repo-id.ts'

/** What the Hub says about a model. Fields that it does not give are undefined; `raw` has all that it said. */
export interface ModelInfo {
  id: string
  /** The commit of the revision that was asked for. */
  sha: string
  author: string | undefined
  private: boolean
  /** `false`, or how access is granted: `auto`, `manual`. */
  gated: false | string
  pipelineTag: string | undefined
  libraryName: string | undefined
  tags: string[]
  downloads: number | undefined
  likes: number | undefined
  lastModified: Date | undefined
  /** The metadata of its card. */
  cardData: Record<string, unknown> | undefined
  /** Paths of its files. */
  files: string[]
  raw: Record<string, unknown>
}

async function clientFor(id: string, options: ConnectionOptions) {
  const repo = checkRepo(id, options.repoType)
  const settings = await hubSettings(options)
  if (settings.offline)
    throw new HubError(`[hub] ${repo.id} cannot be asked about offline; unset HF_HUB_OFFLINE`, {
      code: 'NotCached',
    })
  const revision = checkRevision(options.revision ?? 'main')
  return { repo, settings, revision, client: hubClient(repo, settings, options) }
}

/**
 * Whether a repository has a file at a revision. Also `false` where there is no such repository or revision, or the token may
 * not see it.
 *
 * @throws HubError for a gated repository, or a Hub that does not answer.
 */
export async function fileExists(
  id: string,
  file: string,
  options: ConnectionOptions = {},
): Promise<boolean> {
  const { client, revision } = await clientFor(id, options)
  return client.exists(revision, file)
}

/** All files of a repository at a revision, with their sizes and hashes. @throws HubError */
export async function listFiles(id: string, options: ConnectionOptions = {}): Promise<RemoteFile[]> {
  const { client, revision } = await clientFor(id, options)
  return client.listFiles(revision)
}

/**
 * What the Hub says about a model (or, with `repoType`, a dataset).
 *
 * ```ts
 * const { sha, pipelineTag, gated } = await modelInfo('bert-base-uncased')
 * ```
 *
 * @throws HubError
 */
export async function modelInfo(id: string, options: ConnectionOptions = {}): Promise<ModelInfo> {
  const { client, revision } = await clientFor(id, options)
  const raw = await client.info(revision)
  const text = (name: string) => (typeof raw[name] === 'string' ? raw[name] : undefined)
  const number = (name: string) => (typeof raw[name] === 'number' ? raw[name] : undefined)
  const list = (name: string) => (Array.isArray(raw[name]) ? (raw[name] as unknown[]) : [])
  const modified = text('lastModified')
  return {
    id: text('id') ?? id,
    sha: text('sha') ?? '',
    author: text('author'),
    private: raw.private === true,
    gated: text('gated') ?? false,
    pipelineTag: text('pipeline_tag'),
    libraryName: text('library_name'),
    tags: list('tags').map(String),
    downloads: number('downloads'),
    likes: number('likes'),
    lastModified: modified === undefined ? undefined : new Date(modified),
    cardData: raw.cardData as Record<string, unknown> | undefined,
    files: list('siblings').map((one) => String((one as { rfilename?: unknown })?.rfilename)),
    raw,
  }
}

/**
 * The address of a file, for a reader that takes its bytes in ranges; files of private repositories need the token in an
 * `Authorization` header.
 */
export async function resolveUrl(id: string, file: string, options: ConnectionOptions = {}): Promise<string> {
  const repo = checkRepo(id, options.repoType)
  const { endpoint } = await hubSettings(options)
  return fileUrl(endpoint.replace(/\/+$/, ''), repo, checkRevision(options.revision ?? 'main'), file)
}
