/** A byte-level BPE tokenizer in GPT-2's manner, trained on the corpus. */
import { Tokenizer } from '../tokenization/index.ts'

export const END_OF_TEXT = '<|endoftext|>'

/** An empty byte-level BPE: every byte is a letter, so that no text is unknown. */
const EMPTY = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
  post_processor: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: true },
  decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true },
  model: {
    type: 'BPE',
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: '',
    end_of_word_suffix: '',
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    vocab: {},
    merges: [],
  },
}

export async function trainTokenizer(
  texts: readonly string[],
  vocabSize: number,
  alphabet: string[],
): Promise<Tokenizer> {
  const tokenizer = await Tokenizer.fromString(JSON.stringify(EMPTY))
  await tokenizer.trainFromIterator(texts, {
    type: 'BPE',
    vocabSize,
    minFrequency: 2,
    specialTokens: [END_OF_TEXT],
    initialAlphabet: alphabet,
  })
  return tokenizer
}
