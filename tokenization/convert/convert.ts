/** Checkpoints without a tokenizer.json: made from the files that older tokenizers consist of. */
import type { ComponentConfig } from '../parts/config.ts'
import type { AddedToken } from '../settings.ts'
import { SpecialTokens, specialTokenNames, type TokenizerConfig } from '../special-tokens.ts'
import { convertByteLevel } from './byte-level.ts'
import { type Family, familyName, familyOf } from './families.ts'
import { frame } from './frame.ts'
import { convertWordPiece } from './word-piece.ts'

/** The files of an old tokenizer. */
export interface OldFiles {
  /** vocab.txt, of WordPiece */
  vocabTxt?: string
  /** vocab.json and merges.txt, of byte-level BPE */
  vocabJson?: string
  mergesTxt?: string
  /** The model file of sentencepiece. */
  sentencePiece?: Uint8Array
  /** added_tokens.json: tokens and ids */
  addedTokens?: string
}

export interface Converted {
  vocab: ReadonlyMap<string, number>
  parts: {
    model: ComponentConfig
    normalizer: ComponentConfig | null
    preTokenizer: ComponentConfig | null
    decoder: ComponentConfig | null
  }
  /** Tokens that are never split, of the file itself. */
  added?: AddedToken[]
}

export interface ConvertedTokenizer {
  tokenizerJson: object
  /** The configuration, with the family's special tokens where it names none. */
  config: TokenizerConfig
}

/**
 * A tokenizer.json from older files, as transformers 5 converts them.
 *
 * @throws where the files are of a family that is not known, or malformed
 */
export async function convertTokenizer(
  files: OldFiles,
  config: TokenizerConfig,
  specialTokensMap: Record<string, unknown> | null,
  modelType: string | undefined,
): Promise<ConvertedTokenizer> {
  const name = [config.tokenizer_class, modelType].map(familyName).find((n) => familyOf(n)) ?? guessed(files)
  const family = familyOf(name)
  if (!family && !files.sentencePiece) {
    const known = config.tokenizer_class ?? modelType
    throw new Error(
      `[tokenizer] without tokenizer.json the tokenizer ${known ?? '(of no known class)'} cannot be made: save it once with Python's AutoTokenizer.from_pretrained(...).save_pretrained(...)`,
    )
  }
  const given = SpecialTokens.read(config, specialTokensMap)
  const special = { ...family?.special, ...given.named }
  const converted = await convertFiles(files, name, family, config, special.unkToken ?? '[UNK]', special)
  const { vocab, parts } = converted
  const ids = new Map(vocab)
  const added = addedTokens(ids, [
    ...(converted.added ?? []),
    ...readAdded(files.addedTokens),
    ...specialTokenNames.flatMap((role) => {
      const content = special[role]
      if (content === undefined) return []
      return [{ content, normalized: false, ...given.definitions.get(content), special: true }]
    }),
  ])
  const post_processor = frame(family?.frame ?? null, {
    special,
    idOf: (token) => ids.get(token) ?? 0,
    addPrefixSpace: config.add_prefix_space === true,
  })
  const tokenizerJson = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: parts.normalizer,
    pre_tokenizer: parts.preTokenizer,
    post_processor: post_processor ?? startAndEnd(config, special, ids),
    decoder: parts.decoder,
    model: parts.model,
  }
  const roles = specialTokenNames.flatMap((role) => (special[role] ? [[snake(role), special[role]]] : []))
  return { tokenizerJson, config: { ...Object.fromEntries(roles), ...config } }
}

async function convertFiles(
  files: OldFiles,
  name: string | undefined,
  family: Family | undefined,
  config: TokenizerConfig,
  unkToken: string,
  special: Family['special'],
): Promise<Converted> {
  const { vocabTxt, vocabJson, mergesTxt, sentencePiece } = files
  if (family?.kind === 'wordpiece' && vocabTxt !== undefined)
    return convertWordPiece(vocabTxt, config, unkToken)
  if (family?.kind === 'byte-level' && vocabJson !== undefined && mergesTxt !== undefined) {
    return convertByteLevel(vocabJson, mergesTxt, name ?? '', config)
  }
  if (sentencePiece && family?.kind !== 'wordpiece' && family?.kind !== 'byte-level') {
    const { convertSentencePiece } = await import('./sentencepiece.ts')
    return convertSentencePiece(sentencePiece, name, config, special)
  }
  const wanted = {
    wordpiece: 'vocab.txt',
    'byte-level': 'vocab.json and merges.txt',
    sentencepiece: 'tokenizer.model',
  }
  throw new Error(
    `[tokenizer] there is neither tokenizer.json nor ${wanted[family?.kind ?? 'sentencepiece']}`,
  )
}

/** Where no class is named: what the files are. */
function guessed({ vocabTxt, vocabJson, mergesTxt }: OldFiles): string | undefined {
  if (vocabTxt !== undefined) return 'bert'
  return vocabJson !== undefined && mergesTxt !== undefined ? 'gpt2' : undefined
}

/** With their ids: those of the vocabulary, new ones behind it. */
function addedTokens(ids: Map<string, number>, tokens: readonly (AddedToken & { id?: number })[]): object[] {
  const entries = new Map<string, { id: number } & Required<AddedToken>>()
  let next = [...ids.values()].reduce((highest, id) => Math.max(highest, id), -1) + 1
  for (const { id: wanted, ...token } of tokens) {
    const id = entries.get(token.content)?.id ?? ids.get(token.content) ?? wanted ?? next
    next = Math.max(next, id + 1)
    ids.set(token.content, id)
    const plain = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false }
    entries.set(token.content, { id, ...plain, ...token })
  }
  return [...entries.values()].sort((a, b) => a.id - b.id)
}

function readAdded(text: string | undefined): (AddedToken & { id: number })[] {
  if (text === undefined) return []
  let list: unknown
  try {
    list = JSON.parse(text)
  } catch {
    throw new Error('[tokenizer] added_tokens.json is not JSON')
  }
  const entries = Object.entries(list as Record<string, unknown>)
  const wrong = entries.find(([, id]) => !Number.isInteger(id) || (id as number) < 0)
  if (wrong)
    throw new Error(`[tokenizer] added_tokens.json: the id of ${JSON.stringify(wrong[0])} is no whole number`)
  return entries
    .map(([content, id]) => ({ content, id: id as number, normalized: true }))
    .sort((a, b) => a.id - b.id)
}

/** `bos_token` in front and `eos_token` behind, where the configuration asks for them, as Llama's may. */
function startAndEnd(
  config: TokenizerConfig,
  special: Family['special'],
  ids: ReadonlyMap<string, number>,
): object | null {
  const { bosToken, eosToken } = special
  const bos = config.add_bos_token === true ? bosToken : undefined
  const eos = config.add_eos_token === true ? eosToken : undefined
  if (bos === undefined && eos === undefined) return null
  const around = (sequence: 'A' | 'B', type_id: number) => [
    ...(bos === undefined ? [] : [{ SpecialToken: { id: bos, type_id } }]),
    { Sequence: { id: sequence, type_id } },
    ...(eos === undefined ? [] : [{ SpecialToken: { id: eos, type_id } }]),
  ]
  const tokens = [bos, eos].filter((token) => token !== undefined)
  return {
    type: 'TemplateProcessing',
    single: around('A', 0),
    pair: [...around('A', 0), ...around('B', 1)],
    special_tokens: Object.fromEntries(
      tokens.map((token) => [token, { id: token, ids: [ids.get(token) ?? 0], tokens: [token] }]),
    ),
  }
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
