/** JSON files of a model's folder. */
import { InputError, type ModelFolder } from '../hub/index.ts'

type Json = Readonly<Record<string, unknown>>

/** A JSON object, or null where there is no such file. @throws InputError for a file that is no JSON object */
export async function readJsonFile(folder: ModelFolder, name: string): Promise<Json | null> {
  const text = await folder.text(name)
  if (text === undefined) return null
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json
  } catch {
    // told below
  }
  throw new InputError(`[fromPretrained] ${folder.name}/${name} is not a JSON object`)
}

export async function readConfigFile(folder: ModelFolder): Promise<Json> {
  const config = await readJsonFile(folder, 'config.json')
  if (!config)
    throw new InputError(`[fromPretrained] ${folder.name} has no config.json: is it a model's folder?`)
  return config
}

/** Writes a text file so that it appears only when it is complete. */
export async function writeTextFile(folder: string, name: string, text: string): Promise<void> {
  const { writeFileAtomically } = await import('../hub/node-pending-file.ts')
  const { join } = await import('node:path')
  await writeFileAtomically(join(folder, name), text)
}
