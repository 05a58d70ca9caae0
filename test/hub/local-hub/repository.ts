import { createHash } from 'node:crypto'

/** What git and git LFS know of a file. */
export interface StoredFile {
  path: string
  size: number
  /** git's blob id: of the file, or of the LFS pointer that stands for it. */
  oid: string
  /** sha256 of a file that is kept in LFS. */
  lfs: string | undefined
}

export type Content = string | Uint8Array

/** Where contents are, by git's blob id (small files) or sha256 (LFS). */
export type Objects = Map<string, Uint8Array>

export interface Repository {
  type: 'model' | 'dataset' | 'space'
  id: string
  private: boolean
  gated: false | 'auto' | 'manual'
  /** Branches, and pull requests (`refs/pr/1`), by their last commit. */
  branches: Map<string, string>
  commits: Map<string, { title: string; files: Map<string, StoredFile> }>
  pullRequests: number
}

/** What the routes work with. */
export interface Context {
  endpoint(): string
  storeEndpoint(): string
  repositories: Map<string, Repository>
  objects: Objects
  tokens: Record<string, 'read' | 'write' | undefined>
  partSize: number | undefined
}

export const repositoryKey = (type: string, id: string) => `${type}s/${id}`

export function newRepository(type: Repository['type'], id: string): Repository {
  const repository: Repository = {
    type,
    id,
    private: false,
    gated: false,
    branches: new Map(),
    commits: new Map(),
    pullRequests: 0,
  }
  addCommit(repository, 'main', 'initial commit', new Map())
  return repository
}

/** Puts a commit with exactly these files on a branch. */
export function addCommit(
  repository: Repository,
  branch: string,
  title: string,
  files: Map<string, StoredFile>,
): string {
  const tree = [...files.values()].map(({ path, oid }) => `${path} ${oid}`).join('\n')
  const parent = repository.branches.get(branch) ?? ''
  const commit = hash('sha1', `${parent}\n${title}\n${tree}`)
  repository.branches.set(branch, commit)
  repository.commits.set(commit, { title, files })
  return commit
}

/** The commit that a branch, tag or commit id stands for. */
export function findCommit(repository: Repository, revision: string): string | undefined {
  if (repository.commits.has(revision)) return revision
  return repository.branches.get(revision === 'HEAD' ? 'main' : revision)
}

/** As the Hub's default .gitattributes, for the names that the tests have. */
export function isLarge(path: string): boolean {
  return /\.(safetensors|bin|pt|parquet|gguf|onnx|model)$/.test(path)
}

/** Stores a small file. */
export function storeFile(objects: Objects, path: string, content: Content): StoredFile {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  const oid = gitBlobId(bytes)
  objects.set(oid, bytes)
  return { path, size: bytes.length, oid, lfs: undefined }
}

/** What stands for a large file in git. https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md */
export function pointerTo(path: string, sha256: string, size: number): StoredFile {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256}\nsize ${size}\n`
  return { path, size, oid: gitBlobId(new TextEncoder().encode(pointer)), lfs: sha256 }
}

export function storeLarge(objects: Objects, path: string, bytes: Uint8Array): StoredFile {
  const sha256 = hash('sha256', bytes)
  objects.set(sha256, bytes)
  return pointerTo(path, sha256, bytes.length)
}

export function hash(algorithm: string, bytes: Content): string {
  return createHash(algorithm).update(bytes).digest('hex')
}

function gitBlobId(bytes: Uint8Array): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
}
