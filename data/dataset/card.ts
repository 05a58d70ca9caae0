import { parseModelCard } from '../../hub/index.ts'
import { DataError } from '../errors.ts'
import type { DataSource } from './sources.ts'

/** Patterns of files by split. */
export type SplitPatterns = Record<string, string | readonly string[]>

interface Config {
  config_name?: unknown
  data_files?: unknown
  default?: unknown
}

/**
 * What the card of a data set, the metadata of its README.md, says about its files: of the configuration `name`, or of the
 * default one. Undefined where it says nothing.
 *
 * @throws DataError with the names there are, if none is the default
 */
export async function cardFiles(
  source: DataSource,
  name: string | undefined,
): Promise<SplitPatterns | undefined> {
  if (!source.paths.includes('README.md')) return undefined
  const file = await source.open('README.md')
  let text: string
  try {
    text = new TextDecoder().decode((await file.read(0, Math.min(file.size, 1_000_000))).slice())
  } finally {
    await file.close()
  }
  const { data } = await parseModelCard(text)
  const listed = (data as { configs?: unknown }).configs
  const configs = (Array.isArray(listed) ? listed : []).filter(isObject) as Config[]
  if (configs.length === 0) return undefined
  const wanted =
    name === undefined
      ? (configs.find(
          ({ default: isDefault, config_name }) => isDefault === true || config_name === 'default',
        ) ?? (configs.length === 1 ? configs[0] : undefined))
      : configs.find(({ config_name }) => config_name === name)
  if (!wanted) {
    const names = configs.map(({ config_name }) => String(config_name)).join(', ')
    throw new DataError(
      name === undefined
        ? `[data] ${source.name} has several configurations; choose one with name: ${names}`
        : `[data] ${source.name} has no configuration "${name}"; there are: ${names}`,
    )
  }
  return splitPatterns(wanted.data_files)
}

/** `data_files` is a pattern, several, or a list of `{ split, path }`. */
function splitPatterns(files: unknown): SplitPatterns | undefined {
  if (isPatterns(files)) return { train: files }
  if (!Array.isArray(files)) return undefined
  const splits: SplitPatterns = {}
  for (const entry of files)
    if (isObject(entry) && typeof entry.split === 'string' && isPatterns(entry.path))
      splits[entry.split] = entry.path
  return Object.keys(splits).length > 0 ? splits : undefined
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null

const isPatterns = (value: unknown): value is string | string[] =>
  typeof value === 'string' ||
  (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string'))
