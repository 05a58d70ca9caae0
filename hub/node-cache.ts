import { copyFile, mkdir, readFile, rename, rm, stat, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { createPendingFile } from './node-pending-file.ts'
import { isCommit } from './repo-id.ts'

/** Where models come from and go to, after options, environment and defaults. */
export interface HubSettings {
  endpoint: string
  token: string | undefined
  cacheDir: string
  offline: boolean
}

/** The same environment variables as Python's huggingface_hub, and the token that its `login` stored. */
export async function hubSettings(options: Partial<HubSettings>): Promise<HubSettings> {
  const { env } = process
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface')
  const offline = /^(1|on|yes|true)$/i.test(env.HF_HUB_OFFLINE ?? '')
  return {
    endpoint: options.endpoint ?? (env.HF_ENDPOINT || 'https://huggingface.co'),
    token:
      options.token ??
      (env.HF_TOKEN?.trim() || (await storedToken(env.HF_TOKEN_PATH || join(home, 'token')))),
    cacheDir: options.cacheDir ?? (env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, 'hub')),
    offline: options.offline ?? offline,
  }
}

async function storedToken(path: string): Promise<string | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return text.trim() || undefined
}

/**
 * The folder of one model in the Hugging Face cache, shared with Python:
 *
 *     models--owner--name/blobs/<etag>                the contents
 *                         snapshots/<commit>/<path>   relative links to them
 *                         refs/<branch or tag>        the commit it stood for when it was last asked
 */
export class RepoCache {
  readonly folder: string

  constructor(cacheDir: string, name: string) {
    this.folder = join(cacheDir, ['models', ...name.split('/')].join('--'))
  }

  /** Folder of a commit, which may not exist. */
  snapshot(commit: string): string {
    return join(this.folder, 'snapshots', commit)
  }

  blob(etag: string): string {
    return join(this.folder, 'blobs', etag)
  }

  /** The commit that the cache knows for a revision. */
  async readRef(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision
    const text = await readFile(join(this.folder, 'refs', revision), 'utf8').catch(() => '')
    return isCommit(text.trim()) ? text.trim() : undefined
  }

  async writeRef(revision: string, commit: string): Promise<void> {
    if ((await this.readRef(revision)) === commit) return
    const file = await createPendingFile(join(this.folder, 'refs', revision))
    try {
      await file.write(new TextEncoder().encode(commit))
      await file.finish()
      await file.commit()
    } catch (error) {
      await file.discard()
      throw error
    }
  }

  /**
   * Makes the blob `etag` appear as `path` in a snapshot.
   *
   * @param link how links are made; another function stands in for systems without them in tests
   */
  async place(commit: string, path: string, etag: string, link: typeof symlink = symlink): Promise<void> {
    const blob = this.blob(etag)
    const pointer = join(this.snapshot(commit), path)
    const temporary = `${pointer}.${process.pid}.tmp`
    await mkdir(dirname(pointer), { recursive: true })
    try {
      await rm(temporary, { force: true })
      await link(relative(dirname(pointer), blob), temporary)
    } catch {
      await copyFile(blob, temporary) // Windows without developer mode, and some network drives, have no links
    }
    await rename(temporary, pointer)
  }
}

/** Size of a file, links followed; `undefined` if there is none. */
export async function fileSize(path: string): Promise<number | undefined> {
  const info = await stat(path).catch(() => undefined)
  return info?.isFile() ? info.size : undefined
}
