import { randomBytes } from 'node:crypto'
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, statfs, symlink } from 'node:fs/promises'
import { dirname, join, relative, sep } from 'node:path'
import { HubError } from './errors.ts'
import { formatBytes } from './format-bytes.ts'
import { parseListing, stringifyListing } from './listing.ts'
import { fileSize, localFolder } from './node-local-folder.ts'
import { withLock } from './node-lock.ts'
import { openPartialBlob, partialPath } from './node-partial-blob.ts'
import { guardWrite, writeFileAtomically } from './node-pending-file.ts'
import type { HubSettings } from './options.ts'
import type { RepoCache } from './repo-cache.ts'
import { isCommit, type Repo } from './repo-id.ts'

/** Makes the content of the file `blob` appear as the file `at`, by way of `temporary`, a name on the same disk. */
type Linking = (blob: string, at: string, temporary: string) => Promise<void>

const symbolicLink: Linking = (blob, at, temporary) => symlink(relative(dirname(at), blob), temporary)
const hardLink: Linking = (blob, _, temporary) => link(blob, temporary)
const copy: Linking = (blob, _, temporary) => copyFile(blob, temporary)

/** Folder of a repository in a cache. */
const repoFolder = (cacheDir: string, repo: Repo) => join(cacheDir, repoFolderName(repo))
const repoFolderName = ({ type, id }: Repo) => [`${type}s`, ...id.split('/')].join('--')

/** Folder of a commit, which may not exist. */
export function snapshotFolder(cacheDir: string, repo: Repo, commit: string): string {
  return join(repoFolder(cacheDir, repo), 'snapshots', commit)
}

/**
 * The folder of one repository in the Hugging Face cache, shared with Python:
 *
 *     models--owner--name/blobs/<etag>                the contents
 *                         snapshots/<commit>/<path>   relative links to them, or copies
 *                         refs/<branch or tag>        the commit it stood for when it was last asked
 *                         trees/<commit>.json         Python's list of a commit's files; ours is <commit>.tunesmith.json
 *     .locks/models--owner--name/<etag>.lock          held while a content is downloaded
 *
 * Python takes its list for the promise of a whole snapshot, and offline refuses one that lacks a file: so ours, which is
 * written for a few files of a model too, has a name of its own.
 *
 * @param ways to name contents, the best first: Windows without developer mode has no symbolic links, some drives no links
 */
export function nodeRepoCache(
  repo: Repo,
  { cacheDir, symlinks }: Pick<HubSettings, 'cacheDir' | 'symlinks'>,
  ways: readonly Linking[] = symlinks ? [symbolicLink, hardLink, copy] : [hardLink, copy],
): RepoCache {
  const name = repoFolderName(repo)
  const inRepo = (...parts: string[]) => join(repoFolder(cacheDir, repo), ...parts)
  const snapshot = (commit: string) => snapshotFolder(cacheDir, repo, commit)
  const blob = (etag: string) => inRepo('blobs', etag)
  const readRef = async (revision: string) => {
    if (isCommit(revision)) return revision
    const text = (await readFile(inRepo('refs', revision), 'utf8').catch(() => '')).trim()
    return isCommit(text) ? text : undefined
  }
  return {
    name: cacheDir,
    async caseSensitive() {
      await guardWrite(inRepo(), () => mkdir(inRepo(), { recursive: true }))
      return !(await stat(join(cacheDir, name.toUpperCase())).catch(() => undefined))
    },
    readRef,
    async writeRef(revision, commit) {
      if ((await readRef(revision)) !== commit) await writeFileAtomically(inRepo('refs', revision), commit)
    },
    async readListing(commit) {
      for (const file of [`${commit}.tunesmith.json`, `${commit}.json`]) {
        const text = await readFile(inRepo('trees', file), 'utf8').catch(() => '')
        const files = parseListing(text)
        if (files) return files
      }
      return undefined
    },
    async writeListing(commit, files) {
      await guardWrite(inRepo(), () => mkdir(snapshot(commit), { recursive: true }))
      await writeFileAtomically(inRepo('trees', `${commit}.tunesmith.json`), stringifyListing(files))
    },
    async listSnapshot(commit) {
      const entries = await readdir(snapshot(commit), { recursive: true, withFileTypes: true }).catch(
        () => [],
      )
      return entries
        .filter((entry) => !entry.isDirectory())
        .map((entry) => relative(snapshot(commit), join(entry.parentPath, entry.name)).replaceAll(sep, '/'))
    },
    fileSize: (commit, path) => fileSize(join(snapshot(commit), path)),
    blobSize: (etag) => fileSize(blob(etag)),
    partialSize: async (etag) => (await fileSize(partialPath(blob(etag)))) ?? 0,
    openPartial: (etag) => openPartialBlob(blob(etag)),
    place: (commit, path, etag) => {
      const at = join(snapshot(commit), path)
      // not beside the file: Python reads whatever is in a snapshot
      const temporary = inRepo('blobs', `.${randomBytes(6).toString('hex')}.tmp`)
      return guardWrite(at, async () => {
        await mkdir(dirname(at), { recursive: true })
        let failure: unknown
        for (const way of ways)
          try {
            await way(blob(etag), at, temporary)
            return await rename(temporary, at)
          } catch (error) {
            failure = error
            await rm(temporary, { force: true })
          }
        throw failure
      })
    },
    lock: (etag, action, signal) => withLock(join(cacheDir, '.locks', name, `${etag}.lock`), action, signal),
    checkSpace: (bytes) => checkSpace(inRepo(), bytes),
    folder: (commit) => localFolder(snapshot(commit)),
  }
}

async function checkSpace(folder: string, bytes: number): Promise<void> {
  const disk = await statfs(folder).catch(() => undefined)
  if (!disk || disk.blocks === 0) return // network drives that do not say
  const free = disk.bavail * disk.bsize
  if (free < bytes)
    throw new HubError(
      `[hub] ${folder} has ${formatBytes(free)} of room, ${formatBytes(bytes)} are needed: the disk is full; make room, or set HF_HOME to another disk`,
    )
}
