/** JSON files of a model's folder. */
import { InputError } from '../hub/index.ts'

type Json = Readonly<Record<string, unknown>>

/** A JSON object, or null where there is no such file. @throws InputError for a file that is no JSON object */
export async function readJsonFile(folder: string, name: string): Promise<Json | null> {
  const { readFile } = await import('node:fs/promises')
  const { join } = await import('node:path')
  const path = join(folder, name)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return null
    throw new InputError(`[fromPretrained] ${path} cannot be read: ${(error as Error).message}`)
  }
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  } catch {
    // told below
  }
  throw new InputError(`[fromPretrained] ${path} is not a JSON object`)
}

export async function readConfigFile(folder: string): Promise<Json> {
  const config = await readJsonFile(folder, 'config.json')
  if (!config) throw new InputError(`[fromPretrained] ${folder} has no config.json: is it a model's folder?`)
  return config
}

/** Writes a text file so that it appears only when it is complete. */
export async function writeTextFile(folder: string, name: string, text: string): Promise<void> {
  const { createPendingFile } = await import('../hub/node-pending-file.ts')
  const { join } = await import('node:path')
  const file = await createPendingFile(join(folder, name))
  try {
    await file.write(new TextEncoder().encode(text))
    await file.finish()
    await file.commit()
  } catch (error) {
    await file.discard()
    throw error
  }
}
