import { DataError } from '../errors.ts'

/** Splits, and the words in file names that mean them; as in Hugging Face's datasets. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  train: ['train', 'training'],
  validation: ['validation', 'valid', 'dev', 'val'],
  test: ['test', 'testing', 'eval', 'evaluation'],
}

/** `train-00000-of-00004.parquet`, and the same with a hash behind. */
const SHARD = /^(.+?)-\d{5}-of-\d{5}/

const baseName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

/**
 * Which files belong to which split, by their names: shards by what stands before their number; else files and folders with
 * one of the usual words, set off by anything but letters; else everything is `train`. Once some files are of a split, the
 * others (a README, an archive) are of none.
 *
 * @param paths relative to the data set
 */
export function splitsOf(paths: readonly string[]): Map<string, string[]> {
  const sorted = [...paths].sort()
  const shards = group(sorted, (path) => {
    const name = SHARD.exec(baseName(path))?.[1]
    return name === undefined ? undefined : (keywordSplit(name) ?? name)
  })
  if (shards.size > 0) return shards
  const named = group(sorted, keywordSplit)
  return named.size > 0 ? named : new Map(sorted.length > 0 ? [['train', sorted]] : [])
}

function keywordSplit(path: string): string | undefined {
  // the file's own name says more than those of its folders
  for (const part of path.split('/').reverse()) {
    const words = part.toLowerCase().split(/[^a-z]+/)
    for (const [split, keywords] of Object.entries(KEYWORDS))
      if (words.some((word) => keywords.includes(word))) return split
  }
  return undefined
}

function group(
  paths: readonly string[],
  splitOf: (path: string) => string | undefined,
): Map<string, string[]> {
  const splits = new Map<string, string[]>()
  for (const path of paths) {
    const split = splitOf(path)
    if (split !== undefined) splits.set(split, [...(splits.get(split) ?? []), path])
  }
  const order = Object.keys(KEYWORDS)
  const place = (name: string) => (order.includes(name) ? order.indexOf(name) : order.length)
  return new Map([...splits].sort(([a], [b]) => place(a) - place(b)))
}

/**
 * The files of one configuration: those below the folder `name`, or all. A data set that keeps several in folders, each
 * with splits of its own, has no meaning as a whole.
 *
 * @throws DataError with the names there are
 */
export function configFiles(paths: readonly string[], name: string | undefined, source: string): string[] {
  const folders = new Map<string, string[]>()
  for (const path of paths) {
    const [folder, rest] = path.includes('/') ? path.split(/\/(.*)/s) : ['', path]
    if (SHARD.test(baseName(rest))) folders.set(folder, [...(folders.get(folder) ?? []), path])
  }
  if (name !== undefined) {
    const inside = paths.filter((path) => path.startsWith(`${name}/`))
    if (inside.length > 0) return inside
    const known = [...folders.keys()]
      .filter((folder) => folder !== '')
      .sort()
      .join(', ')
    throw new DataError(
      `[data] ${source} has no folder "${name}" with data${known && `; there are: ${known}`}`,
    )
  }
  if (folders.size > 1 && !folders.has(''))
    throw new DataError(
      `[data] ${source} has several configurations; choose one with name: ${[...folders.keys()].sort().slice(0, 20).join(', ')}`,
    )
  return [...paths]
}
