/** The tokenizer that a GGUF file carries, as the `tokenizer.json` that it was made from. */
import type { Metadata } from './metadata.ts'

/** Kinds of tokens, from ggml's `llama_token_type`. */
const [UNKNOWN, CONTROL, USER_DEFINED] = [2, 3, 4]

type Json = Record<string, unknown>

const byteLevel = (useRegex: boolean): Json => ({
  type: 'ByteLevel',
  add_prefix_space: false,
  trim_offsets: true,
  use_regex: useRegex,
})
const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers })

/** How texts are split before byte-level BPE, by the name that `tokenizer.ggml.pre` gives it. */
const SPLITS: Readonly<Record<string, { pre_tokenizer: Json; ignoreMerges?: boolean; addsBos?: boolean }>> = {
  'gpt-2': { pre_tokenizer: byteLevel(true) },
  smollm: { pre_tokenizer: sequence({ type: 'Digits', individual_digits: true }, byteLevel(true)) },
  'llama-bpe': {
    pre_tokenizer: sequence(
      {
        type: 'Split',
        pattern: {
          Regex:
            "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
        },
        behavior: 'Isolated',
        invert: false,
      },
      byteLevel(false),
    ),
    ignoreMerges: true,
    addsBos: true,
  },
}

/** What a folder of the Hub would hold of the tokenizer. */
export interface TokenizerTexts {
  tokenizerJson: string
  tokenizerConfig: string
}

/** @throws GgufError for a kind of tokenizer that is not built */
export function tokenizerFromGguf(metadata: Metadata): TokenizerTexts {
  const kind = metadata.string('tokenizer.ggml.model')
  const tokens = metadata.strings('tokenizer.ggml.tokens')
  if (new Set(tokens).size !== tokens.length) throw metadata.error('has a token twice')
  const vocabulary = { tokens, types: tokenTypes(metadata, tokens) }
  const parts =
    kind === 'gpt2'
      ? byteLevelBpe(metadata, vocabulary)
      : kind === 'llama'
        ? sentencePieceBpe(metadata, vocabulary)
        : undefined
  if (!parts) throw metadata.error(`its tokenizer "${kind}" is not read; use that of the original model`)
  const { addsBos, unk, ...json } = parts
  const special = (name: string, key: string) => {
    const id = metadata.optionalNumber(`tokenizer.ggml.${key}_token_id`)
    return id !== null && tokens[id] !== undefined ? { [name]: tokens[id] } : {}
  }
  const template = metadata.string('tokenizer.chat_template', '')
  const config = {
    ...special('bos_token', 'bos'),
    ...special('eos_token', 'eos'),
    ...special('pad_token', 'padding'),
    ...(unk === null ? {} : { unk_token: unk }),
    ...(template && { chat_template: template }),
    clean_up_tokenization_spaces: false,
    tokenizer_class: 'PreTrainedTokenizerFast',
  }
  const bos = metadata.boolean('tokenizer.ggml.add_bos_token', addsBos)
  const eos = metadata.boolean('tokenizer.ggml.add_eos_token', false)
  return {
    tokenizerJson: JSON.stringify({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(vocabulary),
      post_processor: aroundTexts(metadata, tokens, bos, eos),
      ...json,
    }),
    tokenizerConfig: JSON.stringify(config),
  }
}

interface Vocabulary {
  tokens: string[]
  types: number[]
}

function tokenTypes(metadata: Metadata, tokens: string[]): number[] {
  if (!metadata.has('tokenizer.ggml.token_type')) return tokens.map(() => 1)
  const types = metadata.numbers('tokenizer.ggml.token_type')
  if (types.length !== tokens.length)
    throw metadata.error(`has ${tokens.length} tokens, but types of ${types.length}`)
  return types
}

function addedTokens({ tokens, types }: Vocabulary): Json[] {
  return tokens.flatMap((content, id) => {
    const type = types[id]
    if (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) return []
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false }
    return [{ id, content, ...plain, special: type !== USER_DEFINED }]
  })
}

type Parts = Json & { addsBos: boolean; unk: string | null }

function byteLevelBpe(metadata: Metadata, { tokens }: Vocabulary): Parts {
  const pre = metadata.string('tokenizer.ggml.pre', 'none')
  if (!Object.hasOwn(SPLITS, pre))
    throw metadata.error(
      `splits texts by "${pre}", which is not built; use the tokenizer of the original model`,
    )
  const { pre_tokenizer, ignoreMerges = false, addsBos = false } = SPLITS[pre]
  const merges = metadata.strings('tokenizer.ggml.merges').map((merge) => {
    const at = merge.indexOf(' ', 1)
    return [merge.slice(0, at), merge.slice(at + 1)]
  })
  return {
    normalizer: null,
    pre_tokenizer,
    decoder: { ...byteLevel(true), add_prefix_space: true },
    model: bpe(tokens, merges, { ignore_merges: ignoreMerges }),
    addsBos,
    unk: null,
  }
}

/**
 * SentencePiece's BPE: the score of a piece is the rank of the merge that makes it, so the merges are all ways to put a piece
 * together from two others, the best score first, as transformers converts such models.
 */
function sentencePieceBpe(metadata: Metadata, { tokens, types }: Vocabulary): Parts {
  const scores = metadata.numbers('tokenizer.ggml.scores')
  if (scores.length !== tokens.length)
    throw metadata.error(`has ${tokens.length} tokens, but ${scores.length} scores`)
  const ids = new Map(tokens.map((token, id) => [token, id]))
  const merges: { pair: [string, string]; score: number; order: number[] }[] = []
  for (const [id, token] of tokens.entries()) {
    if (types[id] !== 1) continue
    for (const at of codePointStarts(token)) {
      const [left, right] = [token.slice(0, at), token.slice(at)]
      const [leftId, rightId] = [ids.get(left), ids.get(right)]
      if (leftId !== undefined && rightId !== undefined)
        merges.push({ pair: [left, right], score: scores[id], order: [leftId, rightId] })
    }
  }
  merges.sort((a, b) => b.score - a.score || a.order[0] - b.order[0] || a.order[1] - b.order[1])
  const unk = tokens[metadata.number('tokenizer.ggml.unknown_token_id', 0)] ?? null
  const replace = (from: string, to: string) => ({ type: 'Replace', pattern: { String: from }, content: to })
  const prefix = metadata.boolean('tokenizer.ggml.add_space_prefix', true)
  const prepend = prefix ? [{ type: 'Prepend', prepend: '▁' }] : []
  const strip = prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []
  return {
    normalizer: { type: 'Sequence', normalizers: [...prepend, replace(' ', '▁')] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [replace('▁', ' '), { type: 'ByteFallback' }, { type: 'Fuse' }, ...strip],
    },
    model: bpe(
      tokens,
      merges.map(({ pair }) => pair),
      { unk_token: unk, fuse_unk: true, byte_fallback: true },
    ),
    addsBos: true,
    unk,
  }
}

/** Places between the code points of a text, its ends left out. */
function codePointStarts(text: string): number[] {
  const starts: number[] = []
  let at = 0
  for (const char of text) {
    if (at > 0) starts.push(at)
    at += char.length
  }
  return starts
}

function bpe(tokens: readonly string[], merges: string[][], options: Json): Json {
  return {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    ...options,
    vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
    merges,
  }
}

/** Puts the tokens for begin and end around texts, where the file says so. */
function aroundTexts(metadata: Metadata, tokens: readonly string[], bos: boolean, eos: boolean): Json | null {
  const special_tokens: Json = {}
  const around = (wanted: boolean, key: string): string | undefined => {
    const id = wanted ? metadata.optionalNumber(`tokenizer.ggml.${key}_token_id`) : null
    const token = id === null ? undefined : tokens[id]
    if (token !== undefined) special_tokens[token] = { id: token, ids: [id], tokens: [token] }
    return token
  }
  const [first, last] = [around(bos, 'bos'), around(eos, 'eos')]
  if (first === undefined && last === undefined) return null
  const piece = (id: string, type_id: number) => {
    const token = (content: string | undefined) =>
      content === undefined ? [] : [{ SpecialToken: { id: content, type_id } }]
    return [...token(first), { Sequence: { id, type_id } }, ...token(last)]
  }
  return {
    type: 'TemplateProcessing',
    single: piece('A', 0),
    pair: [...piece('A', 0), ...piece('B', 1)],
    special_tokens,
  }
}
