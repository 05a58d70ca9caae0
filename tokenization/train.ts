import { check, type Exports, withText } from './engine.ts'
import { type AddedToken, snakeCase } from './settings.ts'

interface CommonTrainerOptions {
  /** Tokens that get the first ids. */
  specialTokens?: (string | AddedToken)[]
  /** Default 30000, Unigram 8000. */
  vocabSize?: number
}

export interface MergeTrainerOptions extends CommonTrainerOptions {
  minFrequency?: number
  /** Most letters kept, the rarest left out. */
  limitAlphabet?: number
  /** Letters that are in the vocabulary even where the texts lack them. */
  initialAlphabet?: string[]
  continuingSubwordPrefix?: string
  endOfWordSuffix?: string
  maxTokenLength?: number
}

export interface WordLevelTrainerOptions extends CommonTrainerOptions {
  minFrequency?: number
}

export interface UnigramTrainerOptions extends CommonTrainerOptions {
  initialAlphabet?: string[]
  shrinkingFactor?: number
  unkToken?: string
  maxPieceLength?: number
  nSubIterations?: number
  seedSize?: number
}

/** Options of the library's trainers, in camelCase; `trainers` makes them. */
export type TrainerOptions =
  | ({ type: 'BPE' } & MergeTrainerOptions)
  | ({ type: 'WordPiece' } & MergeTrainerOptions)
  | ({ type: 'WordLevel' } & WordLevelTrainerOptions)
  | ({ type: 'Unigram' } & UnigramTrainerOptions)

const encoder = new TextEncoder()

export function trainInEngine(
  x: Exports,
  handle: number,
  texts: Iterable<string>,
  trainer: TrainerOptions,
): void {
  const options = Object.fromEntries(
    Object.entries(trainer)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => [snakeCase(name), value]),
  )
  const encoded = Array.from(texts, (text) => encoder.encode(text))
  const bytes = encoded.reduce((sum, text) => sum + text.length, 0)
  const textPointer = x.memory_alloc(bytes)
  const lengthPointer = x.memory_alloc(encoded.length * 4)
  const memory = new Uint8Array(x.memory.buffer)
  let used = textPointer
  for (const text of encoded) {
    memory.set(text, used)
    used += text.length
  }
  new Uint32Array(x.memory.buffer, lengthPointer, encoded.length).set(encoded.map((text) => text.length))
  const status = withText(x, JSON.stringify(options), (pointer, length) =>
    x.tokenizer_train(handle, pointer, length, lengthPointer, encoded.length, textPointer),
  )
  x.memory_free(textPointer, bytes)
  x.memory_free(lengthPointer, encoded.length * 4)
  check(x, 'train', status)
}
