import { HubError, messageOf, oneLine } from './errors.ts'
import { type ModelFolder, openModelFolder } from './model-folder.ts'
import type { HubOptions } from './options.ts'

/**
 * The metadata at the head of a model's README.md, by which the Hub finds and shows it; these are the usual fields.
 * https://huggingface.co/docs/hub/model-cards#model-card-metadata
 */
export interface ModelCardData {
  language?: string | string[]
  license?: string
  library_name?: string
  pipeline_tag?: string
  tags?: string[]
  datasets?: string[]
  metrics?: string[]
  base_model?: string | string[]
  [field: string]: unknown
}

/** The card of a model: metadata, and a text in Markdown. */
export interface ModelCard {
  data: ModelCardData
  text: string
}

/** Metadata stands between two lines of three dashes, at the very beginning. */
const FRONT = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?\r?\n)??---[ \t]*(?:\r?\n|$)/

/**
 * Takes a README.md apart.
 *
 * @throws HubError for metadata that are no YAML mapping.
 */
export async function parseModelCard(content: string): Promise<ModelCard> {
  const front = FRONT.exec(content)
  if (!front) return { data: {}, text: content }
  const { parse } = await import('yaml')
  let data: unknown
  try {
    data = parse(front[1] ?? '', { maxAliasCount: 100 }) ?? {}
  } catch (error) {
    throw new HubError(`[hub] the card's metadata are no YAML: ${oneLine(messageOf(error))}`, {
      cause: error,
    })
  }
  if (typeof data !== 'object' || Array.isArray(data))
    throw new HubError('[hub] the metadata of a model card must be fields with values')
  return { data: data as ModelCardData, text: content.slice(front[0].length).replace(/^\r?\n/, '') }
}

/** The README.md of a card. */
export async function formatModelCard({ data, text }: ModelCard): Promise<string> {
  const { stringify } = await import('yaml')
  const fields = Object.entries(data).filter(([, value]) => value !== undefined)
  if (fields.length === 0) return text
  // Python reads YAML 1.1, where an unquoted `no` (Norwegian) is false.
  const yaml = stringify(Object.fromEntries(fields), { lineWidth: 0, version: '1.1' })
  return `---\n${yaml}---\n\n${text}`
}

/**
 * The card of a model of the Hub, or in a folder.
 *
 * @throws HubError where there is none.
 */
export async function loadModelCard(
  source: string | ModelFolder,
  options: HubOptions = {},
): Promise<ModelCard> {
  const folder = await openModelFolder(source, { ...options, include: 'README.md' })
  const text = await folder.text('README.md')
  if (text === undefined) throw new HubError(`[hub] ${folder.name} has no README.md`)
  return parseModelCard(text)
}
