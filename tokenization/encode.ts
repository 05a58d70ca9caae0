/** Passing texts to the engine: layouts, flags and batches of `tokenization/wasm/src/encode.rs`. */
import { check, type Exports } from './engine.ts'
import { count, type Truncation } from './settings.ts'

/** A text, or the words of one (pre-tokenized input). */
export type Sequence = string | readonly string[]

/** One input: its text, and the second text of a pair. */
export interface EncodeInput {
  text: Sequence
  pair?: Sequence | null
}

export interface EncodeRequest {
  addSpecialTokens: boolean
  /** Ids, type ids and attention mask only: faster. */
  idsOnly: boolean
  /** The windows that truncation cuts off are wanted; default true. Without them, ids alone are found faster. */
  overflow?: boolean
  /** `own`: what the tokenizer itself is set to; null: neither truncation nor padding. */
  truncation: Truncation | null | 'own'
}

const flags = {
  addSpecialTokens: 1,
  details: 2,
  tokens: 4,
  splitIntoWords: 8,
  plain: 16,
  truncate: 32,
  truncateLeft: 64,
  onlyFirst: 128,
  onlySecond: 256,
  noOverflow: 512,
}

const NO_PAIR = 0xffffffff

/** UTF-16 units a call: bounds the engine's memory, and costs nothing against one call for all. */
const UNITS_PER_CALL = 2 ** 14

const encoder = new TextEncoder()

/** Slices of `inputs` that are passed in one call each. */
export function* portions(
  inputs: readonly EncodeInput[],
  most = UNITS_PER_CALL,
): Iterable<readonly EncodeInput[]> {
  let start = 0
  let units = 0
  for (let i = 0; i < inputs.length; i++) {
    units += unitsOf(inputs[i])
    if (units >= most) {
      yield inputs.slice(start, i + 1)
      start = i + 1
      units = 0
    }
  }
  if (start < inputs.length) yield inputs.slice(start)
}

/** Encodes a batch in one call. The bytes of the result are the engine's own, valid until the next call. */
export function encodeInEngine(
  x: Exports,
  handle: number,
  inputs: readonly EncodeInput[],
  request: EncodeRequest,
): { status: number; bytes: Uint8Array } {
  const split = typeof inputs[0].text !== 'string'
  const layout = layoutOf(inputs, split)
  const layoutBytes = layout.capacity * 4
  const layoutPointer = x.memory_alloc(layoutBytes)
  const capacity = inputs.reduce((sum, input) => sum + unitsOf(input), 0) * 3
  const textPointer = x.memory_alloc(capacity)

  // Both views are made after the last allocation, which may move the buffer.
  const numbers = new Uint32Array(x.memory.buffer, layoutPointer, layout.capacity)
  const bytes = new Uint8Array(x.memory.buffer, textPointer, capacity)
  let used = 0
  layout.fill(numbers, (text) => {
    const { written } = encoder.encodeInto(text, bytes.subarray(used))
    used += written
    return written
  })

  const { bits, maxLength, stride } = flagsOf(request, split)
  const status = x.tokenizer_encode(
    handle,
    layoutPointer,
    layout.capacity,
    textPointer,
    bits,
    maxLength,
    stride,
  )
  x.memory_free(layoutPointer, layoutBytes)
  x.memory_free(textPointer, capacity)
  check(x, 'encode', status)
  return { status, bytes: new Uint8Array(x.memory.buffer, x.result_pointer(), x.result_length()) }
}

function flagsOf(request: EncodeRequest, split: boolean) {
  const { addSpecialTokens, idsOnly, truncation } = request
  let bits = 0
  if (addSpecialTokens) bits |= flags.addSpecialTokens
  if (!idsOnly) bits |= flags.details | flags.tokens
  if (split) bits |= flags.splitIntoWords
  if (request.overflow === false) bits |= flags.noOverflow
  if (truncation !== 'own') bits |= flags.plain
  if (truncation === 'own' || truncation === null) return { bits, maxLength: 0, stride: 0 }
  bits |= flags.truncate
  if (truncation.direction === 'left') bits |= flags.truncateLeft
  if (truncation.strategy === 'only_first') bits |= flags.onlyFirst
  if (truncation.strategy === 'only_second') bits |= flags.onlySecond
  const maxLength = count('encode', 'maxLength', truncation.maxLength)
  return { bits, maxLength, stride: count('encode', 'stride', truncation.stride ?? 0) }
}

/** How many numbers the layout of a batch takes, and how it is written. */
function layoutOf(inputs: readonly EncodeInput[], split: boolean) {
  const size = (sequence: Sequence | null | undefined) => (split && sequence ? 1 + sequence.length : 1)
  const capacity = inputs.reduce((sum, { text, pair }) => sum + size(text) + size(pair), 0)

  const fill = (numbers: Uint32Array, write: (text: string) => number) => {
    let at = 0
    const put = (sequence: Sequence | null | undefined) => {
      if (sequence === null || sequence === undefined) numbers[at++] = NO_PAIR
      else if (typeof sequence === 'string') numbers[at++] = write(sequence)
      else {
        numbers[at++] = sequence.length
        for (const word of sequence) numbers[at++] = write(word)
      }
    }
    for (const { text, pair } of inputs) {
      put(text)
      put(pair)
    }
  }
  return { capacity, fill }
}

/** How long an input is, in UTF-16 units. */
export function unitsOf({ text, pair }: EncodeInput): number {
  return lengthOf(text) + (pair ? lengthOf(pair) : 0)
}

function lengthOf(sequence: Sequence): number {
  return typeof sequence === 'string' ? sequence.length : sequence.reduce((sum, word) => sum + word.length, 0)
}

/** Throws where an input is not what the others are: text, or words of a text. */
export function checkInputs(operation: string, inputs: readonly EncodeInput[]): void {
  const split = inputs.length > 0 && typeof inputs[0].text !== 'string'
  const right = (sequence: unknown) =>
    split
      ? Array.isArray(sequence) && sequence.every((word) => typeof word === 'string')
      : typeof sequence === 'string'
  inputs.forEach(({ text, pair }, i) => {
    if (right(text) && (pair === null || pair === undefined || right(pair))) return
    throw new Error(
      `[${operation}] input ${i} is not ${split ? 'a list of words like the first' : 'a string'}`,
    )
  })
}
