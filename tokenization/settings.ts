/** Options in the library's TypeScript spelling, and in that of tokenizer.json. */

export type TruncationStrategy = 'longest_first' | 'only_first' | 'only_second'
export type Side = 'left' | 'right'

export interface Truncation {
  /** Most tokens of an encoding, special tokens counted. */
  maxLength: number
  /** How many tokens an overflowing window shares with the one before; default 0. */
  stride?: number
  /** Which text of a pair is cut; default `longest_first`. */
  strategy?: TruncationStrategy
  /** The side that is cut off; default `right`. */
  direction?: Side
}

export interface Padding {
  /** Side of the padding; default `right`. */
  direction?: Side
  /** Length to fill up to; null (the default) is the longest of the batch. */
  length?: number | null
  padToMultipleOf?: number | null
  padId?: number
  padTypeId?: number
  padToken?: string
}

/** A token that is never split, with the fields of tokenizer.json. */
export interface AddedToken {
  content: string
  /** Only matches whole words. */
  single_word?: boolean
  /** Takes the white space on its left along. */
  lstrip?: boolean
  /** Takes the white space on its right along. */
  rstrip?: boolean
  /** Matches the normalized text instead of the original; default: not special. */
  normalized?: boolean
  /** Left out when decoding with `skipSpecialTokens`. */
  special?: boolean
}

interface JsonTruncation {
  max_length: number
  stride: number
  strategy: string
  direction: string
}

interface JsonPadding {
  strategy: string | { Fixed: number }
  direction: string
  pad_to_multiple_of: number | null
  pad_id: number
  pad_type_id: number
  pad_token: string
}

/** What the engine says about a tokenizer. */
export interface JsonSettings {
  truncation: JsonTruncation | null
  padding: JsonPadding | null
  model: 'BPE' | 'WordPiece' | 'WordLevel' | 'Unigram'
}

const strategies = { longest_first: 'LongestFirst', only_first: 'OnlyFirst', only_second: 'OnlySecond' }
const directions = { left: 'Left', right: 'Right' }

export function truncationToJson(truncation: Truncation): JsonTruncation {
  const { maxLength, stride = 0, strategy = 'longest_first', direction = 'right' } = truncation
  return {
    max_length: count('truncation', 'maxLength', maxLength),
    stride: count('truncation', 'stride', stride),
    strategy: choice('truncation', 'strategy', strategies, strategy),
    direction: choice('truncation', 'direction', directions, direction),
  }
}

export function truncationFromJson(json: JsonTruncation | null): Required<Truncation> | null {
  if (!json) return null
  return {
    maxLength: json.max_length,
    stride: json.stride,
    strategy: keyOf(strategies, json.strategy),
    direction: keyOf(directions, json.direction),
  }
}

export function paddingToJson(padding: Padding): JsonPadding {
  const { direction = 'right', length = null, padToMultipleOf = null } = padding
  return {
    strategy: length === null ? 'BatchLongest' : { Fixed: count('padding', 'length', length) },
    direction: choice('padding', 'direction', directions, direction),
    pad_to_multiple_of:
      padToMultipleOf === null ? null : count('padding', 'padToMultipleOf', padToMultipleOf),
    pad_id: count('padding', 'padId', padding.padId ?? 0),
    pad_type_id: count('padding', 'padTypeId', padding.padTypeId ?? 0),
    pad_token: padding.padToken ?? '[PAD]',
  }
}

export function paddingFromJson(json: JsonPadding | null): Required<Padding> | null {
  if (!json) return null
  return {
    direction: keyOf(directions, json.direction),
    length: typeof json.strategy === 'object' ? json.strategy.Fixed : null,
    padToMultipleOf: json.pad_to_multiple_of,
    padId: json.pad_id,
    padTypeId: json.pad_type_id,
    padToken: json.pad_token,
  }
}

/** A number that fits the engine's 32 bits. */
export function count(operation: string, name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value
  throw new Error(`[${operation}] ${name} must be a whole number from 0 to 4294967295, not ${value}`)
}

export function choice<T extends string>(
  operation: string,
  name: string,
  table: Record<T, string>,
  key: T,
): string {
  if (Object.hasOwn(table, key)) return table[key]
  throw new Error(
    `[${operation}] ${name} must be ${Object.keys(table).join(' or ')}, not ${JSON.stringify(key)}`,
  )
}

function keyOf<T extends string>(table: Record<T, string>, value: string): T {
  const key = (Object.keys(table) as T[]).find((k) => table[k] === value)
  if (key === undefined) throw new Error(`[tokenizer] unknown setting ${JSON.stringify(value)}`)
  return key
}

/** `fooBar` to `foo_bar`, for options that go to the library by name. */
export function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
