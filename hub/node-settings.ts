import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { HubOptions, HubSettings } from './options.ts'

/** Which options have a counterpart in the environment. */
type SettingOptions = Pick<HubOptions, 'endpoint' | 'token' | 'cacheDir' | 'localFilesOnly'>

/** The same environment variables as Python's huggingface_hub, and the token that its `login` stored. */
export async function nodeSettings(options: SettingOptions): Promise<HubSettings> {
  const { env } = process
  const home =
    expand(env.HF_HOME) || join(expand(env.XDG_CACHE_HOME) || join(homedir(), '.cache'), 'huggingface')
  return {
    endpoint: options.endpoint ?? (env.HF_ENDPOINT || 'https://huggingface.co'),
    token: await tokenOf(options.token, home),
    cacheDir:
      options.cacheDir ??
      (expand(env.HF_HUB_CACHE) || expand(env.HUGGINGFACE_HUB_CACHE) || join(home, 'hub')),
    offline: options.localFilesOnly ?? (isTrue(env.HF_HUB_OFFLINE) || isTrue(env.TRANSFORMERS_OFFLINE)),
    symlinks: !isTrue(env.HF_HUB_DISABLE_SYMLINKS),
    answerTimeout: seconds(env.HF_HUB_ETAG_TIMEOUT) ?? 10_000,
    readTimeout: seconds(env.HF_HUB_DOWNLOAD_TIMEOUT) ?? 30_000,
  }
}

async function tokenOf(option: HubOptions['token'], home: string): Promise<string | undefined> {
  if (option === false) return undefined
  if (option !== undefined) return option.trim() || undefined
  const { env } = process
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined
  const set = env.HF_TOKEN?.trim() || env.HUGGING_FACE_HUB_TOKEN?.trim()
  if (set) return set
  const stored = await readFile(expand(env.HF_TOKEN_PATH) || join(home, 'token'), 'utf8').catch(() => '')
  return stored.trim() || undefined
}

const isTrue = (value: string | undefined): boolean => /^(1|on|yes|true)$/i.test(value ?? '')

function seconds(value: string | undefined): number | undefined {
  const number = Number(value)
  return value && number > 0 ? number * 1000 : undefined
}

/** `~` and `$NAME`, as Python expands them in these variables. */
function expand(path: string | undefined): string {
  return (path ?? '')
    .replace(/^~(?=$|[/\\])/, homedir())
    .replace(/\$(\w+)|\$\{(\w+)\}/g, (text, plain, braced) => process.env[plain ?? braced] ?? text)
}
