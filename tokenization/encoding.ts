import type { Side } from './settings.ts'

/** Start and end in UTF-16 units: `text.slice(start, end)`. */
export type Offset = [start: number, end: number]

/** What `Encoding` is made of; all numbers in the layout of `tokenization/wasm/src/pack.rs`. */
interface Parts {
  length: number
  ids: ArrayLike<number>
  /** Absent where all are 0. */
  typeIds: ArrayLike<number> | undefined
  /** Absent where all are 1. */
  attentionMask: ArrayLike<number> | undefined
  /** special tokens mask, word ids, sequence ids, offsets; absent in an encoding without details. */
  details: Uint32Array | undefined
  tokenLengths: Uint32Array | undefined
  tokenText: string
  overflowing: Encoding[]
}

/** Stands for "none" among word and sequence ids. */
const NONE = 0xffffffff

/**
 * What became of one text or pair. All lists have the length of `ids`; offsets count UTF-16 units of the text that
 * the token comes from (of its word, where the input was split into words), and are [0, 0] for special tokens.
 */
export class Encoding {
  readonly #parts: Parts

  constructor(parts: Parts) {
    this.#parts = parts
  }

  get length(): number {
    return this.#parts.length
  }

  get ids(): number[] {
    return plain(this.#parts.ids)
  }

  /** 0 for the first text, 1 for the second, as the model wants them told apart. */
  get typeIds(): number[] {
    const { typeIds, length } = this.#parts
    return typeIds ? plain(typeIds) : new Array<number>(length).fill(0)
  }

  /** 1 for tokens, 0 for padding. */
  get attentionMask(): number[] {
    const { attentionMask, length } = this.#parts
    return attentionMask ? plain(attentionMask) : new Array<number>(length).fill(1)
  }

  /** 1 for tokens that the tokenizer added. */
  get specialTokensMask(): number[] {
    return plain(this.#details(0, 1))
  }

  /** The word each token belongs to, counted in its own text; null for special tokens. */
  get wordIds(): (number | null)[] {
    return Array.from(this.#details(1, 1), orNull)
  }

  /** 0 for tokens of the first text, 1 for those of the second, null for special tokens. */
  get sequenceIds(): (number | null)[] {
    return Array.from(this.#details(2, 1), orNull)
  }

  get offsets(): Offset[] {
    const flat = this.#details(3, 2)
    return Array.from({ length: this.length }, (_, i): Offset => [flat[2 * i], flat[2 * i + 1]])
  }

  get tokens(): string[] {
    const { tokenLengths, tokenText } = this.#parts
    if (!tokenLengths) throw withoutDetails()
    let end = 0
    return Array.from(tokenLengths, (length) => tokenText.slice(end, (end += length)))
  }

  /** The windows that truncation cut off. */
  get overflowing(): Encoding[] {
    return this.#parts.overflowing
  }

  /** The token that covers UTF-16 unit `char` of a text; null where none does. */
  charToToken(char: number, sequence = 0): number | null {
    const sequences = this.#details(2, 1)
    const offsets = this.#details(3, 2)
    for (let i = 0; i < this.length; i++) {
      if (sequences[i] === sequence && offsets[2 * i] <= char && char < offsets[2 * i + 1]) return i
    }
    return null
  }

  /** The place of a token in its text; null for special tokens. */
  tokenToChars(token: number): Offset | null {
    if (this.tokenToSequence(token) === null) return null
    const offsets = this.#details(3, 2)
    return [offsets[2 * token], offsets[2 * token + 1]]
  }

  tokenToWord(token: number): number | null {
    return orNull(this.#details(1, 1)[this.#checked(token)])
  }

  tokenToSequence(token: number): number | null {
    return orNull(this.#details(2, 1)[this.#checked(token)])
  }

  /** First token and the one behind the last of a word; null where it has none. */
  wordToTokens(word: number, sequence = 0): Offset | null {
    const words = this.#details(1, 1)
    const sequences = this.#details(2, 1)
    let found: Offset | null = null
    for (let i = 0; i < this.length; i++) {
      if (words[i] === word && sequences[i] === sequence) found = [found?.[0] ?? i, i + 1]
    }
    return found
  }

  wordToChars(word: number, sequence = 0): Offset | null {
    const tokens = this.wordToTokens(word, sequence)
    if (!tokens) return null
    const offsets = this.#details(3, 2)
    return [offsets[2 * tokens[0]], offsets[2 * tokens[1] - 1]]
  }

  charToWord(char: number, sequence = 0): number | null {
    const token = this.charToToken(char, sequence)
    return token === null ? null : this.tokenToWord(token)
  }

  /** The same, filled up to `length` tokens; the windows cut off by truncation are left as they are. */
  padded(
    length: number,
    padding: { direction: Side; padId: number; padTypeId: number; padToken: string },
  ): Encoding {
    const parts = this.#parts
    const missing = length - parts.length
    if (missing <= 0) return this
    const left = padding.direction === 'left'
    const fill = (list: ArrayLike<number>, value: number, width = 1) => {
      const filled = new Uint32Array(list.length + missing * width).fill(value)
      filled.set(list, left ? missing * width : 0)
      return filled
    }
    const details = () => {
      const sections = [
        fill(this.#details(0, 1), 1),
        fill(this.#details(1, 1), NONE),
        fill(this.#details(2, 1), NONE),
        fill(this.#details(3, 2), 0, 2),
      ]
      return Uint32Array.from(sections.flatMap(plain))
    }
    const padText = padding.padToken.repeat(missing)
    return new Encoding({
      length,
      ids: fill(parts.ids, padding.padId),
      typeIds: fill(this.typeIds, padding.padTypeId),
      attentionMask: fill(this.attentionMask, 0),
      details: parts.details && details(),
      tokenLengths: parts.tokenLengths && fill(parts.tokenLengths, padding.padToken.length),
      tokenText: left ? padText + parts.tokenText : parts.tokenText + padText,
      overflowing: parts.overflowing,
    })
  }

  toJSON(): object {
    const { ids, tokens, typeIds, attentionMask, specialTokensMask, wordIds, sequenceIds, offsets } = this
    const { overflowing } = this
    return {
      ids,
      tokens,
      typeIds,
      attentionMask,
      specialTokensMask,
      wordIds,
      sequenceIds,
      offsets,
      overflowing,
    }
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const { tokenLengths, overflowing } = this.#parts
    const shown = tokenLengths ? this.tokens : this.ids
    const list = shown.slice(0, 12).map((item) => JSON.stringify(item))
    const rest = shown.length > 12 ? `, ... ${shown.length - 12} more` : ''
    return `Encoding(${this.length}: ${list.join(', ')}${rest}${overflowing.length ? `, overflowing ${overflowing.length}` : ''})`
  }

  /** Section `index` of the details: the sections before it are one number a token, itself `width`. */
  #details(index: number, width: number): Uint32Array {
    const { details, length } = this.#parts
    if (!details) throw withoutDetails()
    return details.subarray(index * length, (index + width) * length)
  }

  #checked(token: number): number {
    if (Number.isInteger(token) && token >= 0 && token < this.length) return token
    throw new Error(`[Encoding] there is no token ${token}: the encoding has ${this.length}`)
  }
}

function withoutDetails(): Error {
  return new Error('[Encoding] made without details (idsOnly): encode again without that option')
}

function orNull(number: number): number | null {
  return number === NONE ? null : number
}

/** A list of its own, but for what is one already: ids without details are made as such. */
function plain(numbers: ArrayLike<number>): number[] {
  if (Array.isArray(numbers)) return numbers
  const list = new Array<number>(numbers.length)
  for (let i = 0; i < list.length; i++) list[i] = numbers[i]
  return list
}

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

/** The status of a result that holds ids and type ids alone. */
const IDS_ALONE = 1

/** Reads `count` encodings off the bytes of a result, which may be the engine's own memory. */
export function readResult(bytes: Uint8Array, status: number, count: number, detailed: boolean): Encoding[] {
  if (status === IDS_ALONE)
    return readIds(new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), count)
  const reader = new EncodingReader(bytes, detailed)
  return Array.from({ length: count }, () => reader.read())
}

/** Reads ids and type ids alone, in the layout of `Ids::pack` in `tokenization/wasm/src/ids.rs`. */
function readIds(numbers: Uint32Array, count: number): Encoding[] {
  const encodings = new Array<Encoding>(count)
  let at = 0
  const list = (length: number) => {
    const items = new Array<number>(length)
    for (let i = 0; i < length; i++) items[i] = numbers[at + i]
    at += length
    return items
  }
  for (let i = 0; i < count; i++) {
    const length = numbers[at++]
    const withTypes = numbers[at++] === 1
    const ids = list(length)
    encodings[i] = new Encoding({
      length,
      ids,
      typeIds: withTypes ? list(length) : undefined,
      attentionMask: undefined,
      details: undefined,
      tokenLengths: undefined,
      tokenText: '',
      overflowing: [],
    })
  }
  return encodings
}

/** Reads encodings off the engine's result buffer, in the layout of `tokenization/wasm/src/pack.rs`. */
class EncodingReader {
  readonly #buffer: ArrayBufferLike
  readonly #detailed: boolean
  #position: number

  constructor(bytes: Uint8Array, detailed: boolean) {
    this.#buffer = bytes.buffer
    this.#position = bytes.byteOffset
    this.#detailed = detailed
  }

  read(): Encoding {
    const [length, overflowCount] = this.#numbers(2)
    const numbers = this.#numbers(length * (this.#detailed ? 8 : 3))
    const tokenLengths = this.#detailed ? this.#numbers(length) : undefined
    const tokenText = this.#detailed ? this.#text() : ''
    return new Encoding({
      length,
      ids: numbers.subarray(0, length),
      typeIds: numbers.subarray(length, 2 * length),
      attentionMask: numbers.subarray(2 * length, 3 * length),
      details: this.#detailed ? numbers.subarray(3 * length) : undefined,
      tokenLengths,
      tokenText,
      overflowing: Array.from({ length: overflowCount }, () => this.read()),
    })
  }

  /** A copy: the result buffer is only valid until the next call. */
  #numbers(count: number): Uint32Array {
    const numbers = new Uint32Array(this.#buffer, this.#position, count).slice()
    this.#position += count * 4
    return numbers
  }

  #text(): string {
    const [bytes] = this.#numbers(1)
    const text = decoder.decode(new Uint8Array(this.#buffer, this.#position, bytes))
    this.#position += Math.ceil(bytes / 4) * 4
    return text
  }
}
