/** The folder that training leaves behind (Node). */
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { InputError } from '../../hub/index.ts'

interface Saveable {
  savePretrained(folder: string): Promise<void>
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )

/**
 * Whether a model may be saved there: a place where nothing is, or a model's folder, which is then replaced.
 * @throws InputError for a file, and for a folder without a config.json: it holds something else
 */
export async function checkOutputFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined)
  if (!info) return
  if (!info.isDirectory()) throw new InputError(`[save] ${folder} is a file; name a folder for the model`)
  if (!(await exists(join(folder, 'config.json'))))
    throw new InputError(`[save] ${folder} exists and is not a model's folder; name a new one`)
}

/**
 * Saves a model with its tokenizer. A new folder appears only when it is complete; in one that has a model already, every file
 * is replaced in one go.
 * @throws InputError as `checkOutputFolder` does
 */
export async function saveModelFolder(folder: string, ...parts: readonly Saveable[]): Promise<void> {
  await checkOutputFolder(folder)
  if (await exists(folder)) {
    for (const part of parts) await part.savePretrained(folder)
    return
  }
  const staging = `${resolve(folder)}.${process.pid}.tmp`
  await mkdir(dirname(staging), { recursive: true })
  try {
    for (const part of parts) await part.savePretrained(staging)
    await rename(staging, folder)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
}
