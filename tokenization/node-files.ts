/** Files on disk, for Node; imported only where they are needed, so that the rest runs in browsers. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { TokenizerFiles } from './pretrained-files.ts'

/** Writes `text` beside `path` and renames it: a reader sees the old file or the new one, whole. */
export async function writeFileAtomic(path: string, text: string): Promise<void> {
  await writeAll([[path, text]])
}

/** Writes files into a folder, made where it is missing: all beside their places, then all renamed. */
export async function writeFolder(folder: string, files: Record<string, string>): Promise<void> {
  const places = Object.entries(files).map(([name, text]): [string, string] => [join(folder, name), text])
  for (const [path] of places) await mkdir(dirname(path), { recursive: true })
  await writeAll(places)
}

async function writeAll(files: [path: string, text: string][]): Promise<void> {
  const suffix = `.${process.pid}-${randomBytes(4).toString('hex')}.tmp`
  try {
    for (const [path, text] of files) await writeFile(path + suffix, text)
    for (const [path] of files) await rename(path + suffix, path)
  } finally {
    for (const [path] of files) await rm(path + suffix, { force: true })
  }
}

/** The text of a file, or undefined where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The contents of a tokenizer's files in a model's folder. */
export async function readTokenizerFolder(folder: string): Promise<TokenizerFiles> {
  const read = (name: string) => readIfThere(join(folder, name))
  const tokenizerJson = await read('tokenizer.json')
  if (tokenizerJson === undefined) throw new Error(`[tokenizer] ${folder} has no tokenizer.json`)
  return {
    tokenizerJson,
    tokenizerConfig: await read('tokenizer_config.json'),
    specialTokensMap: await read('special_tokens_map.json'),
    chatTemplate: await read('chat_template.jinja'),
    additionalChatTemplates: await readTemplates(join(folder, 'additional_chat_templates')),
    modelType: modelTypeOf(await read('config.json')),
  }
}

async function readTemplates(folder: string): Promise<Record<string, string>> {
  const names = await readdir(folder).catch(() => [])
  const templates: Record<string, string> = {}
  for (const name of names.filter((n) => n.endsWith('.jinja'))) {
    templates[name.slice(0, -'.jinja'.length)] = await readFile(join(folder, name), 'utf8')
  }
  return templates
}

/** Of a config.json that cannot be read, somebody else complains. */
function modelTypeOf(config: string | undefined): string | undefined {
  try {
    return config === undefined ? undefined : (JSON.parse(config) as { model_type?: string }).model_type
  } catch {
    return undefined
  }
}
