import { Regex } from '../parts/config.ts'
import * as decoders from '../parts/decoders.ts'
import { BPE } from '../parts/models.ts'
import { NFC } from '../parts/normalizers.ts'
import { ByteLevel, Sequence, Split } from '../parts/pre-tokenizers.ts'
import type { TokenizerConfig } from '../special-tokens.ts'
import type { Converted } from './convert.ts'

const QWEN2_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/** From a vocab.json, tokens and ids, and a merges.txt, a pair a line. */
export function convertByteLevel(
  vocabulary: string,
  mergeList: string,
  family: string,
  config: TokenizerConfig,
): Converted {
  const vocab = readVocabulary(vocabulary)
  const addPrefixSpace = config.add_prefix_space === true
  const qwen2 = family === 'qwen2'
  const model = BPE({
    vocab,
    merges: readMerges(mergeList),
    continuingSubwordPrefix: '',
    endOfWordSuffix: '',
  })
  return {
    vocab: new Map(Object.entries(vocab)),
    parts: {
      model,
      normalizer: qwen2 ? NFC() : null,
      preTokenizer: qwen2
        ? Sequence([Split(Regex(QWEN2_SPLIT), 'isolated'), ByteLevel({ addPrefixSpace, useRegex: false })])
        : ByteLevel({ addPrefixSpace }),
      decoder: decoders.ByteLevel(),
    },
  }
}

function readVocabulary(text: string): Record<string, number> {
  let vocab: unknown
  try {
    vocab = JSON.parse(text)
  } catch (error) {
    throw new Error(`[tokenizer] vocab.json is not JSON: ${error instanceof Error ? error.message : error}`)
  }
  if (typeof vocab === 'object' && vocab !== null && !Array.isArray(vocab)) {
    const wrong = Object.entries(vocab).find(([, id]) => !Number.isInteger(id) || id < 0)
    if (!wrong) return vocab as Record<string, number>
    throw new Error(`[tokenizer] vocab.json: the id of ${JSON.stringify(wrong[0])} is no whole number`)
  }
  throw new Error('[tokenizer] vocab.json is not an object of tokens and their ids')
}

function readMerges(text: string): [string, string][] {
  const merges: [string, string][] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line === '' || (i === 0 && line.startsWith('#version'))) continue
    const [left, right, ...rest] = line.split(' ')
    if (!left || !right || rest.length > 0)
      throw new Error(`[tokenizer] merges.txt, line ${i + 1}: not two tokens`)
    merges.push([left, right])
  }
  return merges
}
