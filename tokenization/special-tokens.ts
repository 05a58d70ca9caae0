/** The special tokens of a model: from its configuration files, and back into them. */
import { type AddedToken, snakeCase } from './settings.ts'

export const specialTokenNames = [
  'bosToken',
  'eosToken',
  'unkToken',
  'sepToken',
  'padToken',
  'clsToken',
  'maskToken',
] as const

export type SpecialTokenName = (typeof specialTokenNames)[number]

/** A token in a configuration file: its text, or an object with its fields. */
export type TokenEntry = string | (AddedToken & { __type?: string })

/** The fields of tokenizer_config.json that mean something here; all others are kept as they are. */
export interface TokenizerConfig {
  tokenizer_class?: string
  model_max_length?: number | null
  padding_side?: 'left' | 'right'
  truncation_side?: 'left' | 'right'
  pad_token_type_id?: number
  clean_up_tokenization_spaces?: boolean | null
  split_special_tokens?: boolean
  model_input_names?: string[]
  chat_template?: string | { name: string; template: string }[] | Record<string, string> | null
  added_tokens_decoder?: Record<string, AddedToken>
  additional_special_tokens?: TokenEntry[]
  extra_special_tokens?: TokenEntry[] | Record<string, TokenEntry>
  [field: string]: unknown
}

export class SpecialTokens {
  /** Text of the tokens that have a role, by the role. */
  readonly named: Partial<Record<SpecialTokenName, string>> = {}
  /** Texts of the special tokens without a role. */
  extra: string[] = []
  /** The definition of each, with its flags. */
  readonly definitions = new Map<string, AddedToken>()

  /** Reads tokenizer_config.json and, where it lists no added tokens itself, the older special_tokens_map.json. */
  static read(config: TokenizerConfig, specialTokensMap: Record<string, unknown> | null): SpecialTokens {
    const tokens = new SpecialTokens()
    const source: TokenizerConfig =
      specialTokensMap && !config.added_tokens_decoder ? { ...config, ...specialTokensMap } : config
    for (const name of specialTokenNames) {
      const entry = source[snakeCase(name)] as TokenEntry | null | undefined
      if (entry) tokens.named[name] = tokens.#define(entry)
    }
    for (const entry of extraEntries(source)) tokens.extra.push(tokens.#define(entry))
    for (const entry of Object.values(config.added_tokens_decoder ?? {}))
      tokens.definitions.set(entry.content, entry)
    return tokens
  }

  /** Texts of all special tokens, each once: those with a role, then the others. */
  all(): string[] {
    const named = specialTokenNames.map((name) => this.named[name]).filter((token) => token !== undefined)
    return [...new Set([...named, ...this.extra])]
  }

  /** What tokenizer_config.json and special_tokens_map.json say about the tokens that have a role. */
  toMap(): Record<string, string> {
    const entries = specialTokenNames.map((name) => [snakeCase(name), this.named[name]])
    return Object.fromEntries(entries.filter(([, token]) => token !== undefined))
  }

  #define(entry: TokenEntry): string {
    if (typeof entry === 'string') return entry
    const { __type, ...token } = entry
    this.definitions.set(token.content, token)
    return token.content
  }
}

/** Lists, named tokens, and fields such as `image_token` that only some models have. */
function extraEntries(config: TokenizerConfig): TokenEntry[] {
  const extra = config.extra_special_tokens ?? config.additional_special_tokens ?? []
  const roles = new Set<string>(specialTokenNames.map(snakeCase))
  const specific = Object.entries(config).filter(
    ([field, value]) => field.endsWith('_token') && !roles.has(field) && isEntry(value),
  )
  return [
    ...(Array.isArray(extra) ? extra : Object.values(extra)),
    ...specific.map(([, value]) => value as TokenEntry),
  ]
}

function isEntry(value: unknown): value is TokenEntry {
  return typeof value === 'string' || (typeof value === 'object' && value !== null && 'content' in value)
}

/**
 * Whether a model wants `tokenTypeIds`: of the families of transformers 5, these do where the file does not say.
 * `name` is a tokenizer class or a model type.
 */
export function wantsTokenTypeIds(name: string | undefined): boolean {
  const family = name
    ?.replace(/[-_]/g, '')
    .replace(/Tokenizer(Fast)?$/, '')
    .toLowerCase()
  return family !== undefined && tokenTypeFamilies.has(family)
}

const tokenTypeFamilies = new Set([
  'bert',
  'canine',
  'convbert',
  'deberta',
  'debertav2',
  'electra',
  'fnet',
  'funnel',
  'layoutlm',
  'layoutlmv2',
  'lxmert',
  'markuplm',
  'megatronbert',
  'mobilebert',
  'roformer',
  'squeezebert',
  'tapas',
  'xlnet',
])
