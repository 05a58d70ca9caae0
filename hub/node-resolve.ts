import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type HubClient, hubClient, type RemoteFile } from './client.ts'
import { HubError, quote } from './errors.ts'
import { matchFiles, missingFiles, modelFiles } from './model-files.ts'
import { fileSize, type HubSettings, hubSettings, RepoCache } from './node-cache.ts'
import { createPendingFile } from './node-pending-file.ts'
import { checkRepoId, checkRevision, isCommit, looksLikePath } from './repo-id.ts'
import type { ResolveOptions } from './resolve-model.ts'

/** `resolveModel` in Node. */
export async function resolveInNode(idOrFolder: string, options: ResolveOptions): Promise<string> {
  const local = await stat(idOrFolder).catch(() => undefined)
  if (local?.isDirectory()) return idOrFolder
  if (local) throw new HubError(`[hub] ${idOrFolder} is a file; give the folder of the model`)
  if (looksLikePath(idOrFolder)) throw new HubError(`[hub] there is no folder ${idOrFolder}`)
  return resolveFromHub(idOrFolder, options)
}

/** Folder of a Hub model, from the cache or after a download. */
export async function resolveFromHub(name: string, options: ResolveOptions): Promise<string> {
  const { revision = 'main', files: patterns, signal } = options
  checkRepoId(name)
  checkRevision(revision)
  const { localFilesOnly, token, endpoint, cacheDir } = options
  const settings = await hubSettings({ offline: localFilesOnly, token, endpoint, cacheDir })
  const cache = new RepoCache(settings.cacheDir, name)
  if (settings.offline) return cachedOrThrow(cache, name, revision, patterns, settings)
  if (isCommit(revision) && (await isComplete(cache.snapshot(revision), patterns)))
    return cache.snapshot(revision)
  const client = hubClient(name, { endpoint: settings.endpoint, token: settings.token, signal })
  let commit: string
  try {
    commit = isCommit(revision) ? revision : await client.resolveCommit(revision)
  } catch (error) {
    // As in Python: what was fetched before serves while the Hub cannot be reached or has trouble of its own.
    const unavailable = error instanceof HubError && (error.status === undefined || error.status >= 500)
    const known = unavailable ? await cache.readRef(revision) : undefined
    if (known && (await isComplete(cache.snapshot(known), patterns))) return cache.snapshot(known)
    throw error
  }
  await fetchSnapshot(client, cache, name, commit, options)
  // Last, so that an interrupted download does not lead those who work offline to half a model.
  if (revision !== commit) await cache.writeRef(revision, commit)
  return cache.snapshot(commit)
}

async function cachedOrThrow(
  cache: RepoCache,
  name: string,
  revision: string,
  patterns: readonly string[] | undefined,
  { cacheDir }: HubSettings,
): Promise<string> {
  const fix = 'run once without HF_HUB_OFFLINE or localFilesOnly, or give a local folder'
  const commit = await cache.readRef(revision)
  const folder = commit && cache.snapshot(commit)
  if (!folder || !(await stat(folder).catch(() => undefined)))
    throw new HubError(`[hub] ${name} (${revision}) is not in the cache ${cacheDir}; ${fix}`)
  // Of several files asked for, which ones the model has at all is not known here.
  if (patterns && !(patterns.length === 1 && !/[*?]/.test(patterns[0]))) return folder
  const missing = await missingFiles(folderView(folder), patterns)
  const needed = missing.filter((path) => !path.startsWith('tokenizer'))
  if (needed.length > 0)
    throw new HubError(`[hub] the cache lacks ${needed[0]} of ${name} (${revision}); ${fix}`)
  return folder
}

async function isComplete(folder: string, patterns?: readonly string[]): Promise<boolean> {
  return (await missingFiles(folderView(folder), patterns)).length === 0
}

function folderView(folder: string) {
  return {
    has: async (path: string) => (await fileSize(join(folder, path))) !== undefined,
    text: (path: string) => readFile(join(folder, path), 'utf8'),
  }
}

async function fetchSnapshot(
  client: HubClient,
  cache: RepoCache,
  name: string,
  commit: string,
  { files: patterns, onProgress, signal }: ResolveOptions,
): Promise<void> {
  const wanted = chooseFiles(await client.listFiles(commit), name, patterns)
  const totalBytes = wanted.reduce((sum, { size }) => sum + size, 0)
  let before = 0
  for (const file of wanted) {
    signal?.throwIfAborted()
    const report = (loaded: number) =>
      onProgress?.({ file: file.path, fileBytes: file.size, bytes: before + loaded, totalBytes })
    if ((await fileSize(join(cache.snapshot(commit), file.path))) !== file.size) {
      if ((await fileSize(cache.blob(file.etag))) !== file.size)
        await fetchBlob(client, cache, commit, file, report)
      await cache.place(commit, file.path, file.etag)
    }
    report(file.size)
    before += file.size
  }
}

function chooseFiles(listed: RemoteFile[], name: string, patterns?: readonly string[]): RemoteFile[] {
  const paths = listed.map(({ path }) => path)
  const chosen = new Set(patterns ? matchFiles(paths, patterns) : modelFiles(paths))
  if (chosen.size === 0 && patterns)
    throw new HubError(
      `[hub] ${name} has no file ${patterns.map(quote).join(', ')} among its ${paths.length}`,
    )
  if (!patterns && ![...chosen].some((path) => /\.(safetensors|bin)$/.test(path))) {
    const other = paths.find((path) => /\.(bin|pt|gguf|onnx|h5|msgpack)$/.test(path))
    throw new HubError(
      `[hub] ${name} has no weights in safetensors or pytorch_model.bin${other ? `, only ${other}` : ''}; choose a model that has`,
    )
  }
  return listed.filter(({ path }) => chosen.has(path))
}

/** Downloads the content of a file. Its blob appears only when it is whole. */
async function fetchBlob(
  client: HubClient,
  cache: RepoCache,
  commit: string,
  file: RemoteFile,
  report: (loaded: number) => void,
): Promise<void> {
  const pending = await createPendingFile(cache.blob(file.etag))
  try {
    let loaded = 0
    for await (const chunk of file.size > 0 ? client.open(commit, file) : []) {
      loaded += chunk.length
      if (loaded > file.size) break
      await pending.write(chunk)
      report(loaded)
    }
    if (loaded !== file.size)
      throw new HubError(
        `[hub] ${file.path} came with ${loaded > file.size ? 'more' : 'fewer'} than its ${file.size} bytes; try again`,
      )
    await pending.finish()
    await pending.commit()
  } catch (error) {
    await pending.discard()
    throw error
  }
}
