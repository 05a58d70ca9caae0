import { HubError, quote } from './errors.ts'
import { isInnerPath } from './safetensors/checkpoint.ts'

/**
 * Checks the id of a Hub model, `name` or `owner/name`, by the rules of Python's huggingface_hub. An id becomes part
 * of folder names and URLs, so nothing else may pass.
 *
 * @throws HubError that says what an id looks like.
 */
export function checkRepoId(id: string): void {
  const parts = id.split('/')
  const valid =
    parts.length <= 2 &&
    id.length <= 96 &&
    parts.every((part) => /^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$/.test(part)) &&
    !/--|\.\./.test(id) &&
    !id.endsWith('.git')
  if (!valid)
    throw new HubError(
      `[hub] ${quote(id)} is neither a folder nor the id of a model; an id looks like sentence-transformers/all-MiniLM-L6-v2`,
    )
}

/** @throws HubError if a branch, tag or commit has a name that could leave the cache's folder. */
export function checkRevision(revision: string): void {
  if (!isInnerPath(revision) || !/^[\w./-]+$/.test(revision))
    throw new HubError(`[hub] ${quote(revision)} is not a revision; give a branch, a tag or a commit`)
}

/** Whether a revision is a full commit id, whose content never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision)
}

/** Whether someone who writes this means a path and not a Hub id. */
export function looksLikePath(text: string): boolean {
  return /^(\.|\/|~|[A-Za-z]:)/.test(text) || text.includes('\\') || text.split('/').length > 2
}
