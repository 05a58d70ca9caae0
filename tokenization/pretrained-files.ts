/** The files of a tokenizer beside its model: read from their content, and written so that Python reads them. */
import type { OldFiles } from './convert/convert.ts'
import type { AddedToken, Side } from './settings.ts'
import { SpecialTokens, type TokenizerConfig, wantsTokenTypeIds } from './special-tokens.ts'
import { Tokenizer } from './tokenizer.ts'

/** Contents of files; JSON as text or parsed. Only `tokenizerJson` is needed, or the files of an older tokenizer. */
export interface TokenizerFiles {
  tokenizerJson?: string | object | null
  /** What `tokenizerJson` is made from where there is none. */
  old?: OldFiles
  /** tokenizer_config.json */
  tokenizerConfig?: string | object | null
  /** special_tokens_map.json of older models */
  specialTokensMap?: string | object | null
  /** chat_template.jinja */
  chatTemplate?: string | null
  /** additional_chat_templates/NAME.jinja by NAME */
  additionalChatTemplates?: Record<string, string>
  /** `model_type` of config.json: decides on token type ids where tokenizer_config.json names no class. */
  modelType?: string
}

/** All that a tokenizer starts with. */
export interface TokenizerParts {
  backend: Tokenizer
  config: TokenizerConfig
  specialTokens: SpecialTokens
  chatTemplate: string | Record<string, string> | null
  modelMaxLength: number
  paddingSide: Side
  truncationSide: Side
  padTokenTypeId: number
  modelInputNames: string[]
}

/** What transformers writes for "no limit". */
const NO_LIMIT = 1e30

export async function readTokenizerFiles(files: TokenizerFiles): Promise<TokenizerParts> {
  const map = parse<Record<string, unknown>>('special_tokens_map.json', files.specialTokensMap)
  const { tokenizerJson, config } = await readJson(files, map)
  const backend = await Tokenizer.fromString(
    typeof tokenizerJson === 'string' ? tokenizerJson : JSON.stringify(tokenizerJson),
  )
  const specialTokens = SpecialTokens.read(config, map)
  const { padding, truncation } = backend
  specialTokens.named.padToken ??= padding?.padToken
  addMissingTokens(backend, specialTokens)
  return {
    backend,
    config,
    specialTokens,
    chatTemplate: chatTemplateOf(files, config),
    modelMaxLength: config.model_max_length ?? NO_LIMIT,
    paddingSide: config.padding_side ?? padding?.direction ?? 'right',
    truncationSide: config.truncation_side ?? truncation?.direction ?? 'right',
    padTokenTypeId: config.pad_token_type_id ?? padding?.padTypeId ?? 0,
    modelInputNames: config.model_input_names ?? inputNames(config.tokenizer_class ?? files.modelType),
  }
}

async function readJson(files: TokenizerFiles, map: Record<string, unknown> | null) {
  const { tokenizerJson, old, modelType } = files
  const config = parse<TokenizerConfig>('tokenizer_config.json', files.tokenizerConfig) ?? {}
  if (tokenizerJson !== undefined && tokenizerJson !== null) return { tokenizerJson, config }
  if (!old) throw new Error('[tokenizer] give tokenizerJson, or the files of an older tokenizer (old)')
  const { convertTokenizer } = await import('./convert/convert.ts')
  return convertTokenizer(old, config, map, modelType)
}

function inputNames(family: string | undefined): string[] {
  const typeIds = wantsTokenTypeIds(family) ? ['token_type_ids'] : []
  return ['input_ids', ...typeIds, 'attention_mask']
}

/** Special tokens that tokenizer.json does not know as such are added to it, as transformers does. */
function addMissingTokens(backend: Tokenizer, specialTokens: SpecialTokens): void {
  const known = new Map([...backend.getAddedTokens().values()].map((token) => [token.content, token]))
  const special = new Set(specialTokens.all())
  const listed = [...specialTokens.definitions.values()].filter((token) => !special.has(token.content))
  const wanted: AddedToken[] = [
    ...listed,
    ...[...special].map((content) => ({
      ...(specialTokens.definitions.get(content) ?? { content, normalized: false }),
      special: true,
    })),
  ]
  const missing = wanted.filter(({ content, special }) => {
    const found = known.get(content)
    return !found || (special === true && !found.special)
  })
  if (missing.length) backend.addTokens(missing)
}

function chatTemplateOf(files: TokenizerFiles, config: TokenizerConfig): TokenizerParts['chatTemplate'] {
  const named = { ...files.additionalChatTemplates }
  if (files.chatTemplate) {
    return Object.keys(named).length ? { default: files.chatTemplate, ...named } : files.chatTemplate
  }
  if (Object.keys(named).length) return named
  const given = config.chat_template ?? null
  if (!Array.isArray(given)) return given
  return Object.fromEntries(given.map(({ name, template }) => [name, template]))
}

function parse<T extends object>(file: string, content: string | object | null | undefined): T | null {
  if (content === null || content === undefined) return null
  if (typeof content !== 'string') return content as T
  let value: unknown
  try {
    value = JSON.parse(content)
  } catch (error) {
    throw new Error(`[tokenizer] ${file} is not JSON: ${error instanceof Error ? error.message : error}`)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as T
  throw new Error(`[tokenizer] ${file} does not hold an object`)
}

/** Contents of the files to be saved, by their names. */
export function writeTokenizerFiles(parts: TokenizerParts): Record<string, string> {
  const { backend, specialTokens, chatTemplate } = parts
  const files: Record<string, string> = {
    'tokenizer.json': backend.toString(true),
    'tokenizer_config.json': toJson(configOf(parts)),
    'special_tokens_map.json': toJson(specialTokens.toMap()),
  }
  const templates = typeof chatTemplate === 'string' ? { default: chatTemplate } : (chatTemplate ?? {})
  for (const [name, template] of Object.entries(templates)) {
    if (name === 'default') files['chat_template.jinja'] = template
    else if (/^[\w-]+$/.test(name)) files[`additional_chat_templates/${name}.jinja`] = template
    else throw new Error(`[savePretrained] ${JSON.stringify(name)} is no file name for a chat template`)
  }
  return files
}

function configOf(parts: TokenizerParts): object {
  const { backend, specialTokens } = parts
  const { chat_template, added_tokens_decoder, ...kept } = parts.config
  const config: TokenizerConfig = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    ...kept,
    model_max_length: Math.min(parts.modelMaxLength, NO_LIMIT),
    padding_side: parts.paddingSide,
    truncation_side: parts.truncationSide,
  }
  for (const name of Object.keys(specialTokens.toMap())) delete config[name]
  Object.assign(config, specialTokens.toMap())
  if (Array.isArray(config.extra_special_tokens)) delete config.extra_special_tokens
  const specific = new Set(Object.values(config).filter((value) => typeof value === 'string'))
  const extra = specialTokens.extra.filter((token) => !specific.has(token) && !config.extra_special_tokens)
  if (extra.length) config.additional_special_tokens = extra
  else delete config.additional_special_tokens
  if (added_tokens_decoder) config.added_tokens_decoder = Object.fromEntries(backend.getAddedTokens())
  return config
}

/** As Python writes it: keys sorted, two spaces, and whole numbers without an exponent. */
function toJson(value: object): string {
  const sorted = Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
  const text = JSON.stringify(sorted, null, 2)
  return `${text.replace(/^( {2}"model_max_length": )(\d[\d.]*e\+\d+)/m, (_, key, n) => key + BigInt(Number(n)))}\n`
}
