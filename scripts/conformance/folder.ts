/** Reading the folders of goldens, which may be on disk or behind a web server. */
import type { ModelFolder } from '../../hub/index.ts'

/** A folder below another. */
export const within = (folder: ModelFolder, below: string): ModelFolder => ({
  name: `${folder.name}/${below}`,
  text: (path) => folder.text(`${below}/${path}`),
  open: (path) => folder.open(`${below}/${path}`),
  list: (path) => folder.list(path === '' ? below : `${below}/${path}`),
})

/** Names of what is in a folder, in order. */
export const entries = async (folder: ModelFolder): Promise<string[]> => (await folder.list('')).sort()

/** Names of the folders in a folder, in order. */
export async function subfolders(folder: ModelFolder): Promise<string[]> {
  const names: string[] = []
  for (const name of await entries(folder)) if ((await folder.list(name)).length > 0) names.push(name)
  return names
}

export async function readText(folder: ModelFolder, path: string): Promise<string> {
  const text = await folder.text(path)
  if (text === undefined) throw new Error(`[conformance] ${folder.name}/${path} is missing`)
  return text
}

export async function readBytes(folder: ModelFolder, path: string): Promise<Uint8Array> {
  const file = await folder.open(path)
  if (!file) throw new Error(`[conformance] ${folder.name}/${path} is missing`)
  try {
    return await file.read(0, file.size)
  } finally {
    await file.close()
  }
}

/** The content of a JSON file, or undefined where there is none. */
export async function readJson<T>(folder: ModelFolder, path: string): Promise<T | undefined> {
  const text = await folder.text(path)
  return text === undefined ? undefined : (JSON.parse(text) as T)
}
