/** Models by their names in Python's `tokenizers.models`. Without a vocabulary they are there to be trained. */
import { type ComponentConfig, component } from './config.ts'

/** Tokens and their ids. */
export type Vocabulary = Record<string, number> | ReadonlyMap<string, number>

export interface BPEOptions {
  vocab?: Vocabulary
  merges?: readonly (readonly [string, string])[]
  /** Probability that a merge is left out, for training. */
  dropout?: number | null
  unkToken?: string | null
  continuingSubwordPrefix?: string | null
  endOfWordSuffix?: string | null
  /** One unknown token for several unknown characters in a row. */
  fuseUnk?: boolean
  /** Tokens `<0x00>` to `<0xFF>` for unknown characters. */
  byteFallback?: boolean
  /** Words that are tokens themselves are not made by merges. */
  ignoreMerges?: boolean
}

export function BPE({ vocab = {}, merges = [], ...options }: BPEOptions = {}): ComponentConfig {
  const defaults: Required<Omit<BPEOptions, 'vocab' | 'merges'>> = {
    dropout: null,
    unkToken: null,
    continuingSubwordPrefix: null,
    endOfWordSuffix: null,
    fuseUnk: false,
    byteFallback: false,
    ignoreMerges: false,
  }
  return { ...component('BPE', defaults, options), vocab: plainVocabulary(vocab), merges }
}

export interface WordPieceOptions {
  vocab?: Vocabulary
  /** Default [UNK]. */
  unkToken?: string
  /** Default ##. */
  continuingSubwordPrefix?: string
  /** Longer words are unknown; default 100. */
  maxInputCharsPerWord?: number
}

export function WordPiece({ vocab = {}, ...options }: WordPieceOptions = {}): ComponentConfig {
  const defaults = { unkToken: '[UNK]', continuingSubwordPrefix: '##', maxInputCharsPerWord: 100 }
  return { ...component('WordPiece', defaults, options), vocab: plainVocabulary(vocab) }
}

export function WordLevel({
  vocab = {},
  ...options
}: {
  vocab?: Vocabulary
  unkToken?: string
} = {}): ComponentConfig {
  return { ...component('WordLevel', { unkToken: '<unk>' }, options), vocab: plainVocabulary(vocab) }
}

export interface UnigramOptions {
  /** Pieces and their log probabilities; a piece's id is its place. */
  vocab?: readonly (readonly [string, number])[]
  unkId?: number | null
  byteFallback?: boolean
}

export function Unigram({ vocab = [], ...options }: UnigramOptions = {}): ComponentConfig {
  const defaults: Required<Omit<UnigramOptions, 'vocab'>> = { unkId: null, byteFallback: false }
  return { ...component('Unigram', defaults, options), vocab }
}

function plainVocabulary(vocab: Vocabulary): Record<string, number> {
  return vocab instanceof Map ? Object.fromEntries(vocab) : (vocab as Record<string, number>)
}
