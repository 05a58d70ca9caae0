import { hubClient } from './client.ts'
import { downloadFile } from './download-file.ts'
import { HubError, quote } from './errors.ts'
import { chooseFiles, matchFiles, missingFiles, patternsOf } from './model-files.ts'
import type { HubSettings, SnapshotOptions } from './options.ts'
import { checkTogether, type RemoteFile } from './remote-file.ts'
import type { RepoCache } from './repo-cache.ts'
import { checkRevision, isCommit, type Repo } from './repo-id.ts'

/** A commit of which all that was asked for is in the cache. */
export interface Snapshot {
  commit: string
  /** What was asked for: the files and their bytes. Where the list of the repository is not known, what there is. */
  files: readonly { path: string; size: number }[]
}

/**
 * Brings the files of a revision into a cache, as far as they are not there, and says which commit that is.
 *
 * A commit whose files are there needs no request. A branch is asked for; while the Hub does not answer, or refuses, the
 * commit that it was last time serves, if all that is wanted of it is there.
 *
 * @throws HubError, InputError and the signal's reason as the public functions say.
 */
export async function fetchSnapshot(
  repo: Repo,
  settings: HubSettings,
  cache: RepoCache,
  options: SnapshotOptions,
): Promise<Snapshot> {
  const revision = checkRevision(options.revision ?? 'main')
  const known = await cache.readRef(revision)
  const cached = known === undefined ? undefined : await inCache(repo, cache, known, options)
  if (settings.offline) {
    if (cached?.snapshot) return cached.snapshot
    throw notCached(repo, cache, revision, cached?.missing)
  }
  if (cached?.snapshot && cached.certain && isCommit(revision)) return cached.snapshot

  let commit: string
  let listing: RemoteFile[] | undefined
  let isNew = false
  try {
    // What the cache can serve in its place is not waited for.
    const client = hubClient(repo, settings, cached?.snapshot ? { ...options, retries: 0 } : options)
    commit = isCommit(revision) ? revision : await client.resolveCommit(revision)
    listing = await cache.readListing(commit)
    isNew = listing === undefined
    listing ??= await client.listFiles(commit)
  } catch (error) {
    if (!cached?.snapshot || !(error instanceof HubError) || isAboutRevision(error)) throw error
    options.onNotice?.(`${error.message}; ${repo.id} is taken from the cache`)
    return cached.snapshot
  }
  const files = chooseFiles(repo, listing, options) // may refuse, before anything is written
  const lacking = await lackingFiles(cache, commit, files)
  try {
    if (isNew) await cache.writeListing(commit, listing)
    if (lacking.length > 0) await fetchFiles(repo, settings, cache, commit, files, lacking, options)
    // Last, so that an interrupted download does not lead those who work offline to half a model.
    if (revision !== commit) await cache.writeRef(revision, commit)
  } catch (error) {
    if (lacking.length > 0) throw error // else a cache that may only be read has all that is needed
  }
  return { commit, files }
}

async function lackingFiles(
  cache: RepoCache,
  commit: string,
  files: readonly RemoteFile[],
): Promise<RemoteFile[]> {
  const lacking: RemoteFile[] = []
  for (const file of files) if ((await cache.fileSize(commit, file.path)) !== file.size) lacking.push(file)
  return lacking
}

/** Whether the answer says that the branch or its files are gone, rather than that one may not ask. */
const isAboutRevision = ({ code }: HubError): boolean =>
  code === 'RevisionNotFound' || code === 'EntryNotFound'

interface Cached {
  /** If all that is wanted is there. */
  snapshot: Snapshot | undefined
  /** Whether that is known from the list of the repository's files, rather than guessed. */
  certain: boolean
  missing: string | undefined
}

/** What the cache has of a commit. */
async function inCache(
  repo: Repo,
  cache: RepoCache,
  commit: string,
  options: SnapshotOptions,
): Promise<Cached> {
  const listing = await cache.readListing(commit)
  if (listing) {
    let files: RemoteFile[]
    try {
      files = chooseFiles(repo, listing, options)
    } catch {
      return { snapshot: undefined, certain: true, missing: patternsOf(options.include)?.[0] }
    }
    const [missing] = await lackingFiles(cache, commit, files)
    return { snapshot: missing ? undefined : { commit, files }, certain: true, missing: missing?.path }
  }
  // Python's huggingface_hub before version 2 kept no lists: what is there is judged by what a model is made of.
  const present = matchFiles(await cache.listSnapshot(commit), options)
  const missing = await missingFiles(repo, present, cache.folder(commit), patternsOf(options.include))
  const files: { path: string; size: number }[] = []
  for (const path of present) files.push({ path, size: (await cache.fileSize(commit, path)) ?? 0 })
  return { snapshot: missing === undefined ? { commit, files } : undefined, certain: false, missing }
}

function notCached(repo: Repo, cache: RepoCache, revision: string, missing: string | undefined): HubError {
  const fix = 'run once without HF_HUB_OFFLINE or localFilesOnly, or give a local folder'
  const what =
    missing === undefined
      ? `${repo.id} (${revision}) is not in the cache ${cache.name}`
      : `the cache lacks ${quote(missing)} of ${repo.id} (${revision})`
  return new HubError(`[hub] ${what}; ${fix}`, { code: 'NotCached' })
}

/**
 * Downloads those of the files that are lacking, several at once. When one fails the others stop; what came of them is kept
 * for the next time.
 */
async function fetchFiles(
  repo: Repo,
  settings: HubSettings,
  cache: RepoCache,
  commit: string,
  files: readonly RemoteFile[],
  lacking: readonly RemoteFile[],
  options: SnapshotOptions,
): Promise<void> {
  const { maxWorkers = 8, onProgress, signal } = options
  if (!(Number.isInteger(maxWorkers) && maxWorkers > 0))
    throw new HubError(`[hub] maxWorkers must be an integer over 0, not ${maxWorkers}`)
  checkTogether(
    files.map(({ path }) => path),
    await cache.caseSensitive(),
  )
  await checkSpace(cache, lacking)
  const { default: pLimit } = await import('p-limit')
  const limit = pLimit(maxWorkers)
  const stop = new AbortController()
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  // What is repeated here is the whole of a file's tail, not its request alone.
  const client = hubClient(repo, settings, { ...options, retries: 0, signal: either })
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0)
  const loadedOf = new Map<string, number>()
  let bytes = totalBytes - lacking.reduce((sum, { size }) => sum + size, 0)
  const report = ({ path, size }: RemoteFile, loaded: number) => {
    bytes += loaded - (loadedOf.get(path) ?? 0)
    loadedOf.set(path, loaded)
    onProgress?.({ file: path, fileBytes: size, fileLoaded: loaded, bytes, totalBytes })
  }
  await Promise.allSettled(
    lacking.map((file) =>
      limit(async () => {
        try {
          either.throwIfAborted()
          await downloadFile(client, cache, commit, file, {
            ...options,
            signal: either,
            report: (loaded) => report(file, loaded),
          })
        } catch (error) {
          stop.abort(error)
          throw error
        }
      }),
    ),
  )
  signal?.throwIfAborted()
  if (stop.signal.aborted) throw stop.signal.reason
}

/** Refuses what will not fit, before anything of it is fetched. */
async function checkSpace(cache: RepoCache, lacking: readonly RemoteFile[]): Promise<void> {
  const missing = new Map<string, number>() // by content: several files may share one
  for (const { etag, size } of lacking)
    if ((await cache.blobSize(etag)) !== size)
      missing.set(etag, size - Math.min(size, await cache.partialSize(etag)))
  const bytes = [...missing.values()].reduce((sum, size) => sum + size, 0)
  if (bytes > 0) await cache.checkSpace(bytes)
}
