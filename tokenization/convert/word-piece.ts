import * as decoders from '../parts/decoders.ts'
import { WordPiece } from '../parts/models.ts'
import { BertNormalizer } from '../parts/normalizers.ts'
import { BertPreTokenizer } from '../parts/pre-tokenizers.ts'
import type { TokenizerConfig } from '../special-tokens.ts'
import type { Converted } from './convert.ts'

/** From a vocab.txt, a token a line. */
export function convertWordPiece(vocabulary: string, config: TokenizerConfig, unkToken: string): Converted {
  const tokens = vocabulary.replace(/\n$/, '').split(/\r?\n/)
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]))
  if (vocab[unkToken] === undefined) {
    throw new Error(`[tokenizer] vocab.txt has no token ${unkToken}: it is no vocabulary of WordPiece`)
  }
  return {
    vocab: new Map(Object.entries(vocab)),
    parts: {
      model: WordPiece({ vocab, unkToken }),
      normalizer: BertNormalizer({
        cleanText: true,
        handleChineseChars: config.tokenize_chinese_chars !== false,
        stripAccents: (config.strip_accents as boolean | null | undefined) ?? null,
        lowercase: config.do_lower_case !== false,
      }),
      preTokenizer: BertPreTokenizer(),
      decoder: decoders.WordPiece(),
    },
  }
}
