/** The folders of the models that the repository ships. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ENCODER = fileURLToPath(new URL('../../models/encoder', import.meta.url))
export const GENERATOR = fileURLToPath(new URL('../../models/generator', import.meta.url))

export async function weightBytes(folder: string): Promise<number> {
  return (await stat(join(folder, 'model.safetensors'))).size
}

/** The YAML head of a model card as plain `key: value` lines, and the text below it. */
export async function readCard(folder: string): Promise<{ fields: Map<string, string>; text: string }> {
  const card = await readFile(join(folder, 'README.md'), 'utf8')
  const [, head, text] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(card) ?? []
  if (head === undefined) throw new Error(`${folder}/README.md has no YAML head`)
  const pairs = head.split('\n').flatMap((line) => {
    const pair = /^(\w+): (.+)$/.exec(line)
    return pair ? [[pair[1], pair[2]] as const] : []
  })
  return { fields: new Map(pairs), text }
}
