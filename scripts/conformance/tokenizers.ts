/** Conformance of `tokenization` with the goldens of `tokenizers/` (format: goldens/README.md). */
import type { ModelFolder } from '../../hub/index.ts'
import type { EncodeInput } from '../../tokenization/encode.ts'
import type { Encoding } from '../../tokenization/encoding.ts'
import type { Padding, Truncation } from '../../tokenization/settings.ts'
import { Tokenizer } from '../../tokenization/tokenizer.ts'
import { readJson, readText, within } from './folder.ts'
import { runCalls } from './tokenizers-calls.ts'
import { expectEqual, expectThrow, type Outcome, run } from './tokenizers-case.ts'
import { runChat } from './tokenizers-chat.ts'
import { runComponents, runTraining } from './tokenizers-parts.ts'

interface GoldenEncoding {
  ids: number[]
  tokens: string[]
  type_ids: number[]
  attention_mask: number[]
  special_tokens_mask: number[]
  word_ids: (number | null)[]
  sequence_ids: (number | null)[]
  offsets: [number, number][]
  offsets_utf16?: [number, number][]
  overflowing?: GoldenEncoding[]
}

type Failing<T> = T & { error?: string }

interface GoldenTokenizer {
  vocab_size: number
  vocab_size_without_added: number
  id_to_token: [number, string | null][]
  encode: (GoldenEncoding & {
    text: string
    decoded: string
    decoded_skip_special: string
    ids_without_special?: number[]
  })[]
  pairs: (GoldenEncoding & {
    pair: [string, string]
    ids_without_special: number[]
    decoded_skip_special: string
  })[]
  truncation: Failing<
    GoldenEncoding & { text?: string; pair?: [string, string]; truncation: GoldenTruncation }
  >[]
  padding: {
    batch: string[]
    padding: GoldenPadding
    truncation?: GoldenTruncation
    encodings: GoldenEncoding[]
  }[]
  pretokenized: (GoldenEncoding & { words: string[] })[]
  decode: { ids: number[]; decoded: string; decoded_skip_special: string }[]
  file_settings: Failing<GoldenEncoding & { text?: string; pair?: [string, string] }>[]
}

interface GoldenTruncation {
  max_length: number
  stride: number
  strategy: Truncation['strategy']
  direction: Truncation['direction']
}

interface GoldenPadding {
  direction: Padding['direction']
  pad_id: number
  pad_type_id: number
  pad_token: string
  pad_to_multiple_of?: number
  length?: number
}

/**
 * Runs all cases of a folder like goldens/tokenizers. A case is the path under the suite, such as
 * `NAME/encode/12`; `wanted` says which of them to run.
 */
export async function* runTokenizers(
  folder: ModelFolder,
  wanted: (name: string) => boolean = () => true,
): AsyncIterable<Outcome> {
  const index = await readJson<{ tokenizers: { name: string }[] }>(folder, 'index.json')
  if (!index) throw new Error(`[conformance] ${folder.name}/index.json is missing`)
  for (const { name } of index.tokenizers) {
    yield* runTokenizer(within(folder, name), name, wanted)
    yield* runCalls(within(folder, name), name, wanted)
  }
  yield* runComponents(folder, wanted)
  yield* runTraining(folder, wanted)
  yield* runChat(folder, wanted)
}

async function* runTokenizer(
  folder: ModelFolder,
  name: string,
  wanted: (name: string) => boolean,
): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenTokenizer>(folder, 'cases.json')
  if (!golden) throw new Error(`[conformance] ${folder.name}/cases.json is missing`)
  const json = await readText(folder, 'tokenizer.json')
  const plain = await Tokenizer.fromString(json)
  plain.noTruncation()
  plain.noPadding()
  // Ids without details have a tokenizer of their own, made once enough is encoded that way.
  plain.encodeBatch(['a few words '.repeat(4000)], { idsOnly: true })
  const fresh = () => Tokenizer.fromString(json)
  const each = async function* <T>(kind: string, cases: T[], check: (c: T) => void | Promise<void>) {
    for (const [i, c] of cases.entries()) yield* run(`${name}/${kind}/${i}`, wanted, () => check(c))
  }

  yield* run(`${name}/vocab`, wanted, () => {
    expectEqual('vocab size', plain.getVocabSize(), golden.vocab_size)
    expectEqual('vocab size without added tokens', plain.getVocabSize(false), golden.vocab_size_without_added)
    expectEqual('size of the vocabulary', plain.getVocab().size, golden.vocab_size)
  })
  yield* each('id_to_token', golden.id_to_token, ([id, token]) => {
    expectEqual('token', plain.idToToken(id) ?? null, token)
    if (token !== null) expectEqual('id', plain.tokenToId(token), id)
  })
  yield* each('encode', golden.encode, (c) => {
    expectEncoding(plain.encode(c.text), c, [c.text])
    expectEqual('decoded', plain.decode(c.ids, { skipSpecialTokens: false }), c.decoded)
    expectEqual('decoded_skip_special', plain.decode(c.ids), c.decoded_skip_special)
    expectIds(plain, { text: c.text }, c)
    const bare = plain.encode(c.text, { addSpecialTokens: false, idsOnly: true }).ids
    expectEqual('ids_without_special', bare, c.ids_without_special ?? c.ids)
  })
  yield* each('pairs', golden.pairs, (c) => {
    const [text, pair] = c.pair
    expectEncoding(plain.encode(text, { pair }), c, c.pair)
    expectIds(plain, { text, pair }, c)
    const bare = plain.encode(text, { pair, addSpecialTokens: false, idsOnly: true }).ids
    expectEqual('ids_without_special', bare, c.ids_without_special)
    expectEqual('decoded_skip_special', plain.decode(c.ids), c.decoded_skip_special)
  })
  yield* each('truncation', golden.truncation, async (c) => {
    const input = inputOf(c)
    const truncation = truncationOf(c.truncation)
    const set = () => {
      plain.enableTruncation(truncation)
      return plain.encodeBatch([input])[0]
    }
    const given = () => plain.encodeWith([input], { addSpecialTokens: true, idsOnly: false, truncation })[0]
    try {
      // Both ways to say it: as a setting of the tokenizer, and with the call.
      for (const encode of [set, given]) {
        if (c.error !== undefined) expectThrow(encode, c.error)
        else expectEncoding(encode(), c, textsOf(c))
      }
      if (c.error === undefined) expectIds(plain, input, c, truncation)
    } finally {
      plain.noTruncation()
    }
  })
  yield* each('padding', golden.padding, (c) => {
    const { pad_id, pad_type_id, pad_token, direction, length, pad_to_multiple_of } = c.padding
    try {
      plain.enablePadding({
        direction,
        length,
        padToMultipleOf: pad_to_multiple_of,
        padId: pad_id,
        padTypeId: pad_type_id,
        padToken: pad_token,
      })
      if (c.truncation) plain.enableTruncation(truncationOf(c.truncation))
      const encodings = plain.encodeBatch(c.batch)
      expectEqual('batch size', encodings.length, c.encodings.length)
      for (const [i, encoding] of encodings.entries()) expectEncoding(encoding, c.encodings[i], [c.batch[i]])
    } finally {
      plain.noPadding()
      plain.noTruncation()
    }
  })
  yield* each('pretokenized', golden.pretokenized, (c) => {
    expectEncoding(plain.encode(c.words), { ...c, offsets_utf16: inUtf16(c) }, [])
  })
  yield* each('decode', golden.decode, (c) => {
    expectEqual('decoded', plain.decode(c.ids, { skipSpecialTokens: false }), c.decoded)
    expectEqual('decoded_skip_special', plain.decode(c.ids), c.decoded_skip_special)
  })
  const own = await fresh()
  yield* each('file_settings', golden.file_settings, (c) => {
    const encode = () => own.encodeBatch([inputOf(c)])[0]
    if (c.error !== undefined) expectThrow(encode, c.error)
    else expectEncoding(encode(), c, textsOf(c))
  })
  plain.free()
  own.free()
}

/** Ids without details and windows are found in another way. */
function expectIds(
  tokenizer: Tokenizer,
  input: EncodeInput,
  want: GoldenEncoding,
  truncation: Truncation | null = null,
): void {
  const request = { addSpecialTokens: true, idsOnly: true, overflow: false, truncation }
  const [got] = tokenizer.encodeWith([input], request)
  expectEqual('ids alone', got.ids, want.ids)
  expectEqual('type_ids alone', got.typeIds, want.type_ids)
}

function textsOf({ text = '', pair }: { text?: string; pair?: [string, string] }): string[] {
  return pair ?? [text]
}

function inputOf(c: { text?: string; pair?: [string, string] }): EncodeInput {
  const [text, pair] = textsOf(c)
  return { text, pair }
}

function truncationOf({ max_length, stride, strategy, direction }: GoldenTruncation): Truncation {
  return { maxLength: max_length, stride, strategy, direction }
}

/** Offsets of pre-tokenized input are given in code points of each word only. */
function inUtf16({ words, word_ids, offsets }: GoldenEncoding & { words: string[] }): [number, number][] {
  return offsets.map(([start, end], i) => {
    const word = word_ids[i]
    if (word === null) return [start, end]
    const letters = Array.from(words[word])
    return [letters.slice(0, start).join('').length, letters.slice(0, end).join('').length]
  })
}

function expectEncoding(got: Encoding, want: GoldenEncoding, texts: string[]): void {
  expectWindow(got, want)
  expectEqual('offsets', got.offsets, want.offsets_utf16 ?? want.offsets)
  const overflowing = want.overflowing ?? []
  expectEqual('number of overflowing windows', got.overflowing.length, overflowing.length)
  got.overflowing.forEach((window, i) => {
    expectWindow(window, overflowing[i])
    expectWindowOffsets(window, overflowing[i], texts)
  })
}

function expectWindow(got: Encoding, want: GoldenEncoding): void {
  expectEqual('ids', got.ids, want.ids)
  expectEqual('tokens', got.tokens, want.tokens)
  expectEqual('type_ids', got.typeIds, want.type_ids)
  expectEqual('attention_mask', got.attentionMask, want.attention_mask)
  expectEqual('special_tokens_mask', got.specialTokensMask, want.special_tokens_mask)
  expectEqual('word_ids', got.wordIds, want.word_ids)
  expectEqual('sequence_ids', got.sequenceIds, want.sequence_ids)
}

/**
 * Of a pair without a template, the library forgets which text a token of an overflowing window comes from, and
 * `offsets_utf16`, made with that knowledge, is wrong there; `offsets`, in code points, is right. So a token may also
 * agree with the latter, in one of the texts.
 */
function expectWindowOffsets(got: Encoding, want: GoldenEncoding, texts: string[]): void {
  const own = got.offsets
  const inCodePoints = (text: string, [start, end]: [number, number]) => [
    Array.from(text.slice(0, start)).length,
    Array.from(text.slice(0, end)).length,
  ]
  own.forEach((offset, i) => {
    const same = (other: number[]) => offset[0] === other[0] && offset[1] === other[1]
    if (want.offsets_utf16 && same(want.offsets_utf16[i])) return
    const [start, end] = want.offsets[i]
    if (texts.some((text) => String(inCodePoints(text, offset)) === `${start},${end}`)) return
    expectEqual(`offsets of token ${i} of an overflowing window`, offset, want.offsets_utf16?.[i])
  })
}
