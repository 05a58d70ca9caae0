import { checkRemoteFile, type RemoteFile } from './remote-file.ts'

/** A file in the form of Python's huggingface_hub (`_tree_cache.py`, format 1). */
interface ListedFile {
  size: number
  blob_id: string
  lfs_sha256?: string
  lfs_size?: number
}

/** The text of the list of a commit's files. */
export function stringifyListing(files: readonly RemoteFile[]): string {
  const entries = files.map(({ path, size, etag, blobId, lfs }): [string, ListedFile] => [
    path,
    { size, blob_id: blobId, ...(lfs && { lfs_sha256: etag, lfs_size: size }) },
  ])
  return JSON.stringify({ format_version: 1, files: Object.fromEntries(entries) }, null, 1)
}

/** Reads such a list, ours or Python's; undefined for a text that is none. */
export function parseListing(text: string): RemoteFile[] | undefined {
  try {
    const { format_version, files } = JSON.parse(text) as {
      format_version: unknown
      files: Record<string, ListedFile>
    }
    if (format_version !== 1) return undefined
    return Object.entries(files).map(([path, { size, blob_id, lfs_sha256, lfs_size }]) =>
      checkRemoteFile({
        path,
        size: lfs_size ?? size,
        etag: lfs_sha256 ?? blob_id,
        blobId: blob_id,
        lfs: lfs_sha256 !== undefined,
      }),
    )
  } catch {
    return undefined // it is fetched anew
  }
}
