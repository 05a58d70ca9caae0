/** Tokenizers of sentencepiece models, as the classes of transformers 5 make them. */
import { type ComponentConfig, Regex } from '../parts/config.ts'
import * as decoders from '../parts/decoders.ts'
import { BPE, Unigram } from '../parts/models.ts'
import * as normalizers from '../parts/normalizers.ts'
import * as preTokenizers from '../parts/pre-tokenizers.ts'
import type { SpecialTokenName, TokenizerConfig } from '../special-tokens.ts'
import type { Converted } from './convert.ts'
import { pieceTypes, readSentencePiece, type SentencePieceModel } from './sentencepiece-model.ts'

type Special = Partial<Record<SpecialTokenName, string>>
type Scored = [piece: string, score: number]

const UNIGRAM = 1
const BPE_TYPE = 2

const knownFamilies = new Set(['llama', 'gemma', 't5', 'albert', 'debertav2', 'xlmroberta', 'camembert'])

export function convertSentencePiece(
  bytes: Uint8Array,
  family: string | undefined,
  config: TokenizerConfig,
  special: Special,
): Converted {
  const spm = readSentencePiece(bytes)
  if (spm.modelType !== UNIGRAM && spm.modelType !== BPE_TYPE) {
    throw new Error(
      '[tokenizer] the sentencepiece model is neither Unigram nor BPE: convert it with Python first',
    )
  }
  const parts = partsOf(spm, family, config, special)
  const isPlain = !knownFamilies.has(family ?? '')
  const added = spm.pieces.flatMap(({ piece, type }) => {
    const isSpecial = type === pieceTypes.control || (isPlain && type === pieceTypes.unknown)
    // Of no family, they are split off by the pre-tokenizer.
    const isAdded = isSpecial || (!isPlain && type === pieceTypes.userDefined)
    return isAdded ? [{ content: piece, normalized: false, special: isSpecial }] : []
  })
  return {
    vocab: vocabularyOf(parts.model),
    parts,
    added: [...added, ...(family === 't5' ? sentinels(config) : [])],
  }
}

function partsOf(
  spm: SentencePieceModel,
  family: string | undefined,
  config: TokenizerConfig,
  special: Special,
): Converted['parts'] {
  switch (family) {
    case 'llama':
      return llama(spm, config)
    case 'gemma':
      return gemma(spm, special)
    case 't5':
      return unigram(
        spm,
        [...scored(spm), ...sentinels(config).map(({ content }): Scored => [content, 0])],
        2,
      )
    case 'albert':
      return albert(spm, config)
    case 'debertav2':
      return deberta(spm, config)
    case 'xlmroberta':
      return unigram(spm, xlmVocabulary(spm, special), 3, config.add_prefix_space !== false)
    case 'camembert':
      return unigram(spm, camembertVocabulary(spm, special), 3, config.add_prefix_space !== false)
    default:
      return plain(spm)
  }
}

/** Split at white space, `▁` in front of words. */
function unigram(
  spm: SentencePieceModel,
  vocab: Scored[],
  unkId: number,
  prefixSpace = true,
): Converted['parts'] {
  const prependScheme = prefixSpace ? 'always' : 'never'
  const metaspace = { prependScheme, split: true } as const
  return {
    model: Unigram({ vocab, unkId }),
    normalizer: precompiled(spm)[0] ?? null,
    preTokenizer: preTokenizers.Sequence([
      preTokenizers.WhitespaceSplit(),
      preTokenizers.Metaspace(metaspace),
    ]),
    decoder: decoders.Metaspace(metaspace),
  }
}

function albert(spm: SentencePieceModel, config: TokenizerConfig): Converted['parts'] {
  const prefixSpace = config.add_prefix_space !== false
  const list = [normalizers.Replace('``', '"'), normalizers.Replace("''", '"')]
  if (config.keep_accents !== true) list.push(normalizers.NFKD(), normalizers.StripAccents())
  if (config.do_lower_case !== false) list.push(normalizers.Lowercase())
  const parts = unigram(spm, scored(spm), 1, prefixSpace)
  return { ...parts, normalizer: normalizers.Sequence([...list, ...precompiled(spm)]) }
}

function deberta(spm: SentencePieceModel, config: TokenizerConfig): Converted['parts'] {
  const prependScheme = config.add_prefix_space === false ? 'first' : 'always'
  const lowercase = config.do_lower_case === true ? [normalizers.Lowercase()] : []
  const punctuation = config.split_by_punct === true ? [preTokenizers.Punctuation()] : []
  return {
    model: Unigram({ vocab: scored(spm), unkId: spm.unkId }),
    normalizer: normalizers.Sequence([
      ...lowercase,
      normalizers.Replace(Regex('\\s{2,}|[\\n\\r\\t]'), ' '),
      normalizers.NFC(),
      normalizers.Strip({ left: false }),
    ]),
    preTokenizer: preTokenizers.Sequence([...punctuation, preTokenizers.Metaspace({ prependScheme })]),
    decoder: decoders.Metaspace({ prependScheme }),
  }
}

function llama(spm: SentencePieceModel, config: TokenizerConfig): Converted['parts'] {
  const prefixSpace = config.add_prefix_space !== false
  const prependScheme = prefixSpace ? (config.legacy === true ? 'always' : 'first') : 'never'
  const strip = prefixSpace ? [decoders.Strip({ content: ' ', left: 1 })] : []
  return {
    model: BPE({ ...bpeTables(spm.pieces.map(({ piece }) => piece)), fuseUnk: true, byteFallback: true }),
    normalizer: null,
    preTokenizer: preTokenizers.Metaspace({ prependScheme, split: false }),
    decoder: decoders.Sequence([
      decoders.Replace('▁', ' '),
      decoders.ByteFallback(),
      decoders.Fuse(),
      ...strip,
    ]),
  }
}

function gemma(spm: SentencePieceModel, special: Special): Converted['parts'] {
  const tables = bpeTables(spm.pieces.map(({ piece }) => piece))
  return {
    model: BPE({ ...tables, fuseUnk: true, byteFallback: true, unkToken: special.unkToken }),
    normalizer: normalizers.Replace(' ', '▁'),
    preTokenizer: preTokenizers.Split(' ', 'merged_with_previous'),
    decoder: decoders.Sequence([decoders.Replace('▁', ' '), decoders.ByteFallback(), decoders.Fuse()]),
  }
}

/** Of no family: what the model file itself says. */
function plain(spm: SentencePieceModel): Converted['parts'] {
  const userDefined = spm.pieces
    .filter(({ type }) => type === pieceTypes.userDefined)
    .map(({ piece }) => piece)
  const list: ComponentConfig[] = [...precompiled(spm)]
  if (spm.removeExtraWhitespaces) {
    list.push(normalizers.Replace(Regex('\\A +| +\\z'), ''), normalizers.Replace(Regex(' {2,}'), ' '))
  }
  if (spm.escapeWhitespaces) list.push(normalizers.Replace(' ', '▁'))
  if (spm.addDummyPrefix) list.push(normalizers.Replace(Regex('\\A▁'), '▁▁'))
  const split: ComponentConfig[] = []
  if (spm.addDummyPrefix) split.push(preTokenizers.Metaspace({ split: false }))
  if (userDefined.length > 0) {
    const longest = userDefined.toSorted((a, b) => b.length - a.length)
    split.push(preTokenizers.Split(Regex(longest.map(escapeRegex).join('|')), 'isolated'))
  }
  const decoding = [decoders.Replace('▁', ' ')]
  if (spm.byteFallback) decoding.push(decoders.ByteFallback())
  if (spm.addDummyPrefix) decoding.push(decoders.Fuse(), decoders.Strip({ content: ' ', left: 1 }))
  else if (spm.byteFallback) decoding.push(decoders.Fuse())
  const model =
    spm.modelType === UNIGRAM
      ? Unigram({ vocab: scored(spm), unkId: spm.unkId, byteFallback: spm.byteFallback })
      : BPE({
          ...scoreTables(spm),
          unkToken: spm.unkPiece,
          fuseUnk: true,
          byteFallback: spm.byteFallback,
          ignoreMerges: userDefined.length > 0,
        })
  return {
    model,
    normalizer: normalizers.Sequence(list),
    preTokenizer: split.length > 0 ? preTokenizers.Sequence(split) : null,
    decoder: decoders.Sequence(decoding),
  }
}

function precompiled(spm: SentencePieceModel): ComponentConfig[] {
  return spm.precompiledCharsmap.length > 0 ? [normalizers.Precompiled(spm.precompiledCharsmap)] : []
}

function scored(spm: SentencePieceModel): Scored[] {
  return spm.pieces.map(({ piece, score }) => [piece, score])
}

/** fairseq's numbering: four tokens of its own, and the pieces from the fourth on. */
function xlmVocabulary(spm: SentencePieceModel, special: Special): Scored[] {
  const own = [special.bosToken, special.padToken, special.eosToken, special.unkToken].map(
    (t): Scored => [t ?? '', 0],
  )
  return [...own, ...scored(spm).slice(3), [special.maskToken ?? '<mask>', 0]]
}

function camembertVocabulary(spm: SentencePieceModel, special: Special): Scored[] {
  const own: Scored[] = [
    ['<s>NOTUSED', 0],
    [special.padToken ?? '<pad>', 0],
    ['</s>NOTUSED', 0],
    [special.unkToken ?? '<unk>', 0],
    ['<unk>NOTUSED', -100],
  ]
  return [...own, ...scored(spm).slice(1), [special.maskToken ?? '<mask>', 0]]
}

/** T5's `<extra_id_99>` to `<extra_id_0>`. */
function sentinels(config: TokenizerConfig) {
  const count = typeof config.extra_ids === 'number' ? config.extra_ids : 100
  return Array.from({ length: count }, (_, i) => ({
    content: `<extra_id_${count - 1 - i}>`,
    normalized: false,
    special: true,
  }))
}

/** All ways to split a piece into two others, those that make pieces with a low id first. */
function bpeTables(pieces: readonly string[]) {
  const vocab = new Map(pieces.map((piece, id) => [piece, id]))
  const merges: { left: string; right: string; rank: number }[] = []
  for (const [piece, rank] of vocab) {
    const local = splitsOf(piece).filter(([left, right]) => vocab.has(left) && vocab.has(right))
    local.sort((a, b) => vocab.get(a[0])! - vocab.get(b[0])! || vocab.get(a[1])! - vocab.get(b[1])!)
    for (const [left, right] of local) merges.push({ left, right, rank })
  }
  const length = (text: string) => Array.from(text).length
  merges.sort(
    (a, b) => a.rank - b.rank || length(a.left) - length(b.left) || length(a.right) - length(b.right),
  )
  return { vocab, merges: merges.map(({ left, right }): [string, string] => [left, right]) }
}

/** The same ordered by the scores of normal pieces, which alone are merged. */
function scoreTables(spm: SentencePieceModel) {
  const vocab = new Map(spm.pieces.map(({ piece }, id) => [piece, id]))
  const normal = new Map(
    spm.pieces.flatMap(({ piece, score, type }, id) =>
      type === pieceTypes.normal ? [[piece, { score, id }]] : [],
    ),
  )
  const ranked: { left: string; right: string; score: number; id: number }[] = []
  for (const [piece, { score, id }] of normal) {
    for (const [left, right] of splitsOf(piece)) {
      if (normal.has(left) && normal.has(right)) ranked.push({ left, right, score, id })
    }
  }
  ranked.sort(
    (a, b) => b.score - a.score || a.id - b.id || compare(a.left, b.left) || compare(a.right, b.right),
  )
  return { vocab, merges: ranked.map(({ left, right }): [string, string] => [left, right]) }
}

function splitsOf(piece: string): [string, string][] {
  const letters = Array.from(piece)
  return letters.slice(1).map((_, i) => [letters.slice(0, i + 1).join(''), letters.slice(i + 1).join('')])
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|#&~\s-]/g, '\\$&')
}

function vocabularyOf(model: ComponentConfig): Map<string, number> {
  if (Array.isArray(model.vocab)) return new Map((model.vocab as Scored[]).map(([piece], id) => [piece, id]))
  return new Map(Object.entries(model.vocab as Record<string, number>))
}
