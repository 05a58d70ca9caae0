/** Pre-tokenizers by their names in Python's `tokenizers.pre_tokenizers`. */
import {
  behaviorConfig,
  type ComponentConfig,
  component,
  type Pattern,
  patternConfig,
  type SplitBehavior,
} from './config.ts'

export const BertPreTokenizer = (): ComponentConfig => ({ type: 'BertPreTokenizer' })
export const UnicodeScripts = (): ComponentConfig => ({ type: 'UnicodeScripts' })
/** Splits by `\w+|[^\w\s]+`. */
export const Whitespace = (): ComponentConfig => ({ type: 'Whitespace' })
export const WhitespaceSplit = (): ComponentConfig => ({ type: 'WhitespaceSplit' })

export interface ByteLevelOptions {
  /** Puts a space in front of a text that has none; default true. */
  addPrefixSpace?: boolean
  /** Default true. */
  trimOffsets?: boolean
  /** Splits by GPT-2's expression first; default true. */
  useRegex?: boolean
}

export function ByteLevel(options?: ByteLevelOptions): ComponentConfig {
  const defaults = { addPrefixSpace: true, trimOffsets: true, useRegex: true }
  return component<Required<ByteLevelOptions>>('ByteLevel', defaults, options)
}

export function CharDelimiterSplit(delimiter: string): ComponentConfig {
  return { type: 'CharDelimiterSplit', delimiter }
}

export function Digits(options?: { individualDigits?: boolean }): ComponentConfig {
  return component('Digits', { individualDigits: false }, options)
}

export function FixedLength(options?: { length?: number }): ComponentConfig {
  return component('FixedLength', { length: 5 }, options)
}

export interface MetaspaceOptions {
  /** Stands for a space; default `▁`. */
  replacement?: string
  /** Which texts get one in front: `always` (default), `first`, not those behind an added token, or `never`. */
  prependScheme?: 'always' | 'first' | 'never'
  /** Splits at the replacement; default true. */
  split?: boolean
}

export function Metaspace(options?: MetaspaceOptions): ComponentConfig {
  const defaults = { replacement: '▁', prependScheme: 'always' as const, split: true }
  return component<Required<MetaspaceOptions>>('Metaspace', defaults, options)
}

export function Punctuation({ behavior = 'isolated' as SplitBehavior } = {}): ComponentConfig {
  return { type: 'Punctuation', behavior: behaviorConfig('Punctuation', behavior) }
}

/** With `invert`, what does not match the pattern is the delimiter. */
export function Split(pattern: Pattern, behavior: SplitBehavior, { invert = false } = {}): ComponentConfig {
  return {
    type: 'Split',
    pattern: patternConfig('Split', pattern),
    behavior: behaviorConfig('Split', behavior),
    invert,
  }
}

export function Sequence(preTokenizers: readonly ComponentConfig[]): ComponentConfig {
  return { type: 'Sequence', pretokenizers: preTokenizers }
}
