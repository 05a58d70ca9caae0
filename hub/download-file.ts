import type { HubClient } from './client.ts'
import { contentHash } from './content-hash.ts'
import { HubError } from './errors.ts'
import type { ConnectionOptions } from './options.ts'
import type { RemoteFile } from './remote-file.ts'
import type { PartialBlob, RepoCache } from './repo-cache.ts'
import { isPassing, withRetries } from './retry.ts'

/** What a content goes through on its way into the cache. */
export interface FileDownload
  extends Pick<ConnectionOptions, 'retries' | 'retryDelay' | 'signal' | 'onNotice'> {
  /** Bytes of the file that are here. */
  report(loaded: number): void
}

/**
 * Brings one file of a commit into the cache. What an earlier download left of it is not asked for again; what came is
 * compared with the hash that names it before anyone can see it. Of several that want the same content, one downloads it.
 *
 * @throws HubError for a connection that stays cut, or a content that is not the one announced; InputError for a disk that is
 * full or may not be written to; the signal's reason if it was aborted.
 */
export async function downloadFile(
  client: HubClient,
  cache: RepoCache,
  commit: string,
  file: RemoteFile,
  options: FileDownload,
): Promise<void> {
  const { etag, path, size } = file
  if ((await cache.fileSize(commit, path)) !== size) {
    if ((await cache.blobSize(etag)) !== size)
      await cache.lock(
        etag,
        async () => {
          if ((await cache.blobSize(etag)) !== size) await fetchBlob(client, cache, commit, file, options)
        },
        options.signal,
      )
    await cache.place(commit, path, etag)
  }
  options.report(size)
}

async function fetchBlob(
  client: HubClient,
  cache: RepoCache,
  commit: string,
  file: RemoteFile,
  options: FileDownload,
): Promise<void> {
  const partial = await cache.openPartial(file.etag)
  try {
    if (partial.size > file.size) await partial.restart()
    const hadPart = partial.size > 0
    let found = await fillAndHash(client, partial, commit, file, options)
    if (found !== file.etag && hadPart) {
      // The part may have been damaged since: power that failed, another program.
      await partial.restart()
      found = await fillAndHash(client, partial, commit, file, options)
    }
    if (found !== file.etag) {
      await partial.restart()
      throw new HubError(
        `[hub] ${file.path} came from ${client.connection.host} with the hash ${found.slice(0, 12)}… instead of ${file.etag.slice(0, 12)}…; nothing of it was kept, try again or check HF_ENDPOINT`,
        { code: 'BadAnswer' },
      )
    }
    await partial.complete()
  } finally {
    await partial.close()
  }
}

/** Appends what is missing, in as many requests as it takes, and hashes the whole. */
async function fillAndHash(
  client: HubClient,
  partial: PartialBlob,
  commit: string,
  file: RemoteFile,
  { report, ...options }: FileDownload,
): Promise<string> {
  const { path, size, etag } = file
  let hash = await contentHash(etag, size)
  for await (const bytes of partial.read()) hash.update(bytes)
  let furthest = partial.size
  let progressed = false
  const attempt = async () => {
    progressed = false
    if (partial.size === size) return
    try {
      await appendRest()
    } catch (error) {
      // A server that begins anew each time and is cut brings nothing.
      progressed = partial.size > furthest
      furthest = Math.max(furthest, partial.size)
      if (!(error instanceof HubError && error.code === 'Interrupted' && error.status === undefined))
        throw error
      const reason = error.message.replace(/^\[hub\] /, '')
      throw new HubError(
        `[hub] ${path} ended after ${partial.size} of ${size} bytes (${reason}); what came is kept, try again`,
        { code: 'Interrupted', cause: error },
      )
    }
  }
  const appendRest = async () => {
    const content = await client.open(commit, file, partial.size)
    if (content.offset !== partial.size) {
      await partial.restart() // a server without ranges
      hash = await contentHash(etag, size)
    }
    for await (const bytes of content.chunks) {
      if (partial.size + bytes.length > size) {
        await partial.restart()
        throw new HubError(
          `[hub] ${path} came with more than its ${size} bytes; try again or check HF_ENDPOINT`,
          {
            code: 'BadAnswer',
          },
        )
      }
      await partial.append(bytes)
      hash.update(bytes)
      report(partial.size)
    }
    if (partial.size < size) throw new HubError('[hub] the server ended it', { code: 'Interrupted' })
  }
  await withRetries(attempt, {
    ...options,
    when: (error) => isPassing(error) || (error instanceof HubError && error.code === 'Unreachable'),
    progressed: () => progressed,
  })
  return hash.digest()
}
