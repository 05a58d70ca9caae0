import { HubError, quote } from './errors.ts'
import type { RepoType } from './options.ts'
import { isInnerPath } from './safetensors/checkpoint.ts'

/** A repository: its id is `name` or `owner/name`. */
export interface Repo {
  type: RepoType
  id: string
}

/**
 * Checks the id of a repository, `name` or `owner/name`, by the rules of Python's huggingface_hub. An id becomes part of
 * folder names and URLs, so nothing else may pass.
 *
 * @throws HubError that says what an id looks like.
 */
export function checkRepo(id: string, type: RepoType = 'model'): Repo {
  if (!['model', 'dataset', 'space'].includes(type))
    throw new HubError(`[hub] ${quote(String(type))} is no type of repository; give model, dataset or space`)
  const parts = id.split('/')
  const valid =
    parts.length <= 2 &&
    id.length <= 96 &&
    parts.every((part) => /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$/.test(part)) &&
    !/--|\.\./.test(id) &&
    !id.endsWith('.git')
  if (!valid)
    throw new HubError(
      type === 'model'
        ? `[hub] ${quote(id)} is neither a folder nor the id of a model; an id looks like sentence-transformers/all-MiniLM-L6-v2`
        : `[hub] ${quote(id)} is not the id of a ${type}; an id looks like stanfordnlp/imdb`,
    )
  return { type, id }
}

/** @throws HubError if a branch, tag or commit has a name that could leave the cache's folder. */
export function checkRevision(revision: string): string {
  if (!isInnerPath(revision) || !/^[\w./-]+$/.test(revision))
    throw new HubError(`[hub] ${quote(revision)} is not a revision; give a branch, a tag or a commit`)
  return revision
}

/** Whether a revision is a full commit id, whose content never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision)
}

/** Whether someone who writes this means a path and not a Hub id. */
export function looksLikePath(text: string): boolean {
  return /^(\.|\/|~|[A-Za-z]:)/.test(text) || text.includes('\\') || text.split('/').length > 2
}

/** Path of a repository's pages and files below the endpoint: models have no prefix. */
export function repoPath({ type, id }: Repo): string {
  return type === 'model' ? id : `${type}s/${id}`
}

/** Path of its API. */
export function apiPath({ type, id }: Repo): string {
  return `api/${type}s/${id}`
}

/** A file's path inside a URL: each part escaped, the slashes kept. */
export function urlPath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}
