import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Tokenizer } from '../../tokenization/tokenizer.ts'

/** Folder of the tokenizers that the repository holds. */
export const goldens = fileURLToPath(new URL('../goldens/tokenizers/', import.meta.url))

/** Folder of all of them, beside the repository. */
export const allGoldens = fileURLToPath(new URL('../../../shared/goldens/tokenizers/', import.meta.url))

export function goldenJson(name: string): Promise<string> {
  return readFile(`${goldens}${name}/tokenizer.json`, 'utf8')
}

export async function goldenTokenizer(name: string): Promise<Tokenizer> {
  return Tokenizer.fromString(await goldenJson(name))
}
