import type { ModelFolder } from './model-folder.ts'
import type { RemoteFile } from './remote-file.ts'

/**
 * Where the downloaded files of one repository are kept: on disk (Node), in the browser's own file system, in whatever else
 * can hold bytes under a name. Contents are kept once, by their hash; a snapshot gives them the names of one commit.
 */
export interface RepoCache {
  /** For messages: where that is. */
  readonly name: string
  /** Whether `a` and `A` may be two files of a snapshot. */
  caseSensitive(): Promise<boolean>
  /** The commit that a revision was when the Hub was last asked; of a commit itself. */
  readRef(revision: string): Promise<string | undefined>
  writeRef(revision: string, commit: string): Promise<void>
  /** The files of a commit, as the Hub listed them: a commit never changes. */
  readListing(commit: string): Promise<RemoteFile[] | undefined>
  writeListing(commit: string, files: readonly RemoteFile[]): Promise<void>
  /** Paths of the files of a commit that are there. */
  listSnapshot(commit: string): Promise<string[]>
  /** Bytes of a file of a snapshot; undefined where it is not there, or not whole. */
  fileSize(commit: string, path: string): Promise<number | undefined>
  /** Bytes of a content that is whole. */
  blobSize(etag: string): Promise<number | undefined>
  /** Bytes that an earlier download left of a content. */
  partialSize(etag: string): Promise<number>
  /** Opens the part of a content that is there. Only within `lock`. */
  openPartial(etag: string): Promise<PartialBlob>
  /** Makes a whole content appear as a file of a snapshot. */
  place(commit: string, path: string, etag: string): Promise<void>
  /**
   * Runs `action` while nobody else, in this process or another, does so for the same content.
   *
   * @throws the signal's reason if it is aborted while waiting.
   */
  lock<T>(etag: string, action: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /**
   * Checks that there is room for `bytes` more, as far as that can be known.
   *
   * @throws HubError that says how much is missing.
   */
  checkSpace(bytes: number): Promise<void>
  /** The files of a snapshot, to be read. */
  folder(commit: string): ModelFolder
}

/** The beginning of a content, kept when a download ends early. Nothing else sees it before it is complete. */
export interface PartialBlob {
  /** Bytes that are there. */
  readonly size: number
  /** What is there. */
  read(): AsyncIterable<Uint8Array>
  append(bytes: Uint8Array): Promise<void>
  /** Begins again with nothing. */
  restart(): Promise<void>
  /** Makes it a content that is whole, at once. */
  complete(): Promise<void>
  /** Ends the writing, and keeps what is there for the next time. Never throws. */
  close(): Promise<void>
}
