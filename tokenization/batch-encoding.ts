import type { Encoding, Offset } from './encoding.ts'

/** One row, or a row for each text of the batch. */
export type Rows<Batched extends boolean, T> = Batched extends true ? T[][] : T[]

/** What a tokenizer makes for a model; the fields that were asked for. */
export interface EncodedFields<Batched extends boolean> {
  inputIds: Rows<Batched, number>
  /** 0 for the first text, 1 for the second. */
  tokenTypeIds?: Rows<Batched, number>
  /** 1 for tokens, 0 for padding. */
  attentionMask?: Rows<Batched, number>
  /** 1 for tokens that the tokenizer added, and for padding. */
  specialTokensMask?: Rows<Batched, number>
  /** Places in the text, in UTF-16 units. */
  offsetMapping?: Rows<Batched, Offset>
  /** Tokens of each row, padding included. */
  length?: Batched extends true ? number[] : number
  /** With overflowing windows: the text that each row comes from. */
  overflowToSampleMapping?: number[]
}

// The fields are those that were asked for: the constructor assigns them.
export interface BatchEncoding<Batched extends boolean = boolean> extends EncodedFields<Batched> {}

/**
 * The fields for a model, `model({ ...batch })`, and the way from tokens to the texts they come from. Rows, tokens,
 * words and UTF-16 units all count from 0.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface
export class BatchEncoding<Batched extends boolean = boolean> {
  readonly #encodings: () => Encoding[]

  /** `encodings` makes the full encodings of all rows, when first needed. */
  constructor(fields: EncodedFields<Batched>, encodings: () => Encoding[]) {
    Object.assign(this, fields)
    let made: Encoding[] | undefined
    this.#encodings = () => {
      made ??= encodings()
      return made
    }
  }

  /** The full encoding of each row, padding included. */
  get encodings(): Encoding[] {
    return this.#encodings()
  }

  tokens(row = 0): string[] {
    return this.#row(row).tokens
  }

  /** The word each token belongs to; null for special tokens. */
  wordIds(row = 0): (number | null)[] {
    return this.#row(row).wordIds
  }

  /** 0 or 1 for tokens of the first or second text; null for special tokens. */
  sequenceIds(row = 0): (number | null)[] {
    return this.#row(row).sequenceIds
  }

  tokenToChars(row: number, token: number): Offset | null {
    return this.#row(row).tokenToChars(token)
  }

  charToToken(row: number, char: number, sequence = 0): number | null {
    return this.#row(row).charToToken(char, sequence)
  }

  tokenToWord(row: number, token: number): number | null {
    return this.#row(row).tokenToWord(token)
  }

  wordToTokens(row: number, word: number, sequence = 0): Offset | null {
    return this.#row(row).wordToTokens(word, sequence)
  }

  wordToChars(row: number, word: number, sequence = 0): Offset | null {
    return this.#row(row).wordToChars(word, sequence)
  }

  charToWord(row: number, char: number, sequence = 0): number | null {
    return this.#row(row).charToWord(char, sequence)
  }

  #row(row: number): Encoding {
    const encoding = this.encodings[row]
    if (!encoding)
      throw new Error(`[BatchEncoding] there is no row ${row}: the batch has ${this.encodings.length}`)
    return encoding
  }
}
