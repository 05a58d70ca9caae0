/** The options of calling a tokenizer, and the strategies that follow from them, in the manner of transformers. */
import type { ChatTemplateOptions } from './chat-template.ts'
import type { Sequence } from './encode.ts'
import type { Side, Truncation, TruncationStrategy } from './settings.ts'

export interface PadOptions {
  /** `true` or `longest`: to the longest row. `max_length`: to `maxLength`, or to what the model takes. */
  padding?: boolean | 'longest' | 'max_length' | 'do_not_pad'
  /** Most tokens of a row. */
  maxLength?: number | null
  padToMultipleOf?: number | null
  /** Default: the tokenizer's. */
  paddingSide?: Side | null
  /** Default: whether the model takes one. */
  returnAttentionMask?: boolean | null
}

export interface EncodeTextOptions extends PadOptions {
  /** Adds what the model expects around a text, [CLS] and the like; default true. */
  addSpecialTokens?: boolean
  /** `true` is `longest_first`. Alone, `maxLength` turns it on. */
  truncation?: boolean | TruncationStrategy | 'do_not_truncate' | null
  /** How many tokens an overflowing window shares with the one before; default 0. */
  stride?: number
  /** The texts are lists of words. */
  isSplitIntoWords?: boolean
  /** Splits special tokens that occur in a text like any other text; default: the tokenizer's. */
  splitSpecialTokens?: boolean | null
}

export interface CallOptions extends EncodeTextOptions {
  /** The second texts of pairs, one for each text. */
  textPair?: Sequence | readonly Sequence[] | null
  /** Default: whether the model takes them. */
  returnTokenTypeIds?: boolean | null
  /** A row for each window that truncation cut off, and `overflowToSampleMapping`. */
  returnOverflowingTokens?: boolean
  returnSpecialTokensMask?: boolean
  returnOffsetsMapping?: boolean
  returnLength?: boolean
}

export interface ApplyChatTemplateOptions extends ChatTemplateOptions {
  /** Text instead of ids when false; default true. */
  tokenize?: boolean
  /** A BatchEncoding (default) or only its ids. */
  returnDict?: boolean
  padding?: PadOptions['padding']
  truncation?: EncodeTextOptions['truncation']
  maxLength?: number | null
  /** Further options of the tokenizer. */
  tokenizerKwargs?: CallOptions
}

export const chatOptionNames: readonly (keyof ApplyChatTemplateOptions)[] = [
  'chatTemplate',
  'tools',
  'documents',
  'addGenerationPrompt',
  'continueFinalMessage',
  'chatTemplateKwargs',
  'tokenize',
  'returnDict',
  'padding',
  'truncation',
  'maxLength',
  'tokenizerKwargs',
]

export const padOptionNames: readonly (keyof PadOptions)[] = [
  'padding',
  'maxLength',
  'padToMultipleOf',
  'paddingSide',
  'returnAttentionMask',
]

export const callOptionNames: readonly (keyof CallOptions)[] = [
  ...padOptionNames,
  'addSpecialTokens',
  'truncation',
  'stride',
  'isSplitIntoWords',
  'splitSpecialTokens',
  'textPair',
  'returnTokenTypeIds',
  'returnOverflowingTokens',
  'returnSpecialTokensMask',
  'returnOffsetsMapping',
  'returnLength',
]

/** No option is silently ignored: throws at one that is not among `names`. */
export function checkOptionNames(operation: string, options: object, names: readonly string[]): void {
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  if (unknown === undefined) return
  const meant = unknown.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
  let hint = `it has ${names.join(', ')}`
  if (unknown === 'returnTensors') hint = 'tensors come from the AutoTokenizer of tunesmith/transformers'
  else if (names.includes(meant)) hint = `did you mean ${meant}?`
  throw new Error(`[${operation}] there is no option ${unknown}: ${hint}`)
}

/** What a tokenizer brings along to decide on strategies. */
export interface Limits {
  modelMaxLength: number
  truncationSide: Side
  paddingSide: Side
  padToken: string | null
}

export interface PaddingPlan {
  /** null: the longest row. */
  length: number | null
  multiple: number | null
  side: Side
}

/** Above this, `model_max_length` means that the model has no limit. */
const LARGE = 1e20

/** The truncation that options ask for; null for none. */
export function planTruncation(options: EncodeTextOptions, limits: Limits): Truncation | null {
  const { maxLength = null, padding = false, stride = 0 } = options
  let { truncation = null } = options
  if (truncation === null && maxLength !== null && padding === false) truncation = 'longest_first'
  if (truncation === true) truncation = 'longest_first'
  if (!truncation || truncation === 'do_not_truncate') return null
  if (!['longest_first', 'only_first', 'only_second'].includes(truncation)) {
    throw new Error(
      `[tokenizer] truncation is true, false, 'longest_first', 'only_first', 'only_second' or 'do_not_truncate', not ${JSON.stringify(truncation)}`,
    )
  }
  if (maxLength === null && limits.modelMaxLength > LARGE) return null
  return {
    maxLength: maxLength ?? limits.modelMaxLength,
    stride,
    strategy: truncation,
    direction: limits.truncationSide,
  }
}

/** The padding that options ask for; null for none. */
export function planPadding(options: PadOptions, limits: Limits): PaddingPlan | null {
  const { padding = false, maxLength = null, padToMultipleOf: multiple = null, paddingSide } = options
  if (padding === false || padding === 'do_not_pad') return null
  if (padding !== true && padding !== 'longest' && padding !== 'max_length') {
    throw new Error(
      `[tokenizer] padding is true, false, 'longest', 'max_length' or 'do_not_pad', not ${JSON.stringify(padding)}`,
    )
  }
  const side = paddingSide ?? limits.paddingSide
  if (side !== 'left' && side !== 'right') {
    throw new Error(`[tokenizer] paddingSide is 'left' or 'right', not ${JSON.stringify(side)}`)
  }
  if (padding === 'max_length' && maxLength === null && limits.modelMaxLength > LARGE) return null
  if (limits.padToken === null) {
    throw new Error('[tokenizer] it has no padding token: set one, tokenizer.padToken = tokenizer.eosToken')
  }
  return { length: padding === 'max_length' ? (maxLength ?? limits.modelMaxLength) : null, multiple, side }
}

/** Throws where the length that rows are cut at is not one that they are filled up to. */
export function checkLengths(truncation: Truncation | null, padding: PaddingPlan | null): void {
  if (!truncation || !padding?.multiple || truncation.maxLength % padding.multiple === 0) return
  throw new Error(
    `[tokenizer] truncation to ${truncation.maxLength} and padToMultipleOf ${padding.multiple} do not fit: ` +
      `choose a maxLength that is a multiple of ${padding.multiple}`,
  )
}

/** The length that all rows are filled up to. */
export function paddedLength(plan: PaddingPlan, lengths: readonly number[]): number {
  const length = plan.length ?? lengths.reduce((longest, next) => Math.max(longest, next), 0)
  return plan.multiple ? Math.ceil(length / plan.multiple) * plan.multiple : length
}

/** A row filled up with `value`. */
export function padRow<T>(row: readonly T[], length: number, value: T, side: Side): T[] {
  const padding = new Array<T>(Math.max(0, length - row.length)).fill(value)
  return side === 'left' ? [...padding, ...row] : [...row, ...padding]
}
