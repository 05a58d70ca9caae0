import { turn } from '../../core/turn.ts'
import type { PreTrainedTokenizer } from '../../tokenization/index.ts'

/** Texts per call of the tokenizer: long enough to be quick, short enough to let the event loop turn. */
const CHUNK = 512

/** Token ids of many texts, end to end in one array: a data set of millions of tokens is two allocations. */
export class TokenizedTexts {
  readonly ids: Int32Array
  /** Text i is `ids` from `offsets[i]` to `offsets[i + 1]`. */
  readonly offsets: Int32Array

  constructor(sequences: readonly ArrayLike<number>[]) {
    this.offsets = new Int32Array(sequences.length + 1)
    for (const [i, { length }] of sequences.entries()) this.offsets[i + 1] = this.offsets[i] + length
    this.ids = new Int32Array(this.offsets[sequences.length])
    for (const [i, sequence] of sequences.entries()) this.ids.set(sequence, this.offsets[i])
  }

  get count(): number {
    return this.offsets.length - 1
  }

  /** Number of tokens of each text. */
  get lengths(): Int32Array {
    return Int32Array.from({ length: this.count }, (_, i) => this.offsets[i + 1] - this.offsets[i])
  }

  /** The ids of one text; no copy. */
  at(i: number): Int32Array {
    return this.ids.subarray(this.offsets[i], this.offsets[i + 1])
  }
}

export interface TokenizeOptions {
  /** Cut to this many tokens; without it nothing is cut. */
  maxLength?: number
  addSpecialTokens?: boolean
}

/** The ids of texts, a chunk at a time so that timers and signals get their turn. */
export async function* tokenizeTexts(
  tokenizer: PreTrainedTokenizer,
  texts: readonly string[],
  { maxLength, addSpecialTokens = true }: TokenizeOptions,
): AsyncGenerator<number[]> {
  for (let begin = 0; begin < texts.length; begin += CHUNK) {
    const options = maxLength === undefined ? {} : { truncation: true, maxLength }
    const chunk = texts.slice(begin, begin + CHUNK)
    yield* tokenizer(chunk, { ...options, addSpecialTokens, returnAttentionMask: false }).inputIds
    await turn()
  }
}

/** Everything that an iterable gives, as an array. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}
