/** Rules that change the scores of a step before a token is chosen, in the manner of transformers' logits processors. */

/** What a processor sees of one sequence. */
export interface StepContext {
  /** Tokens so far, padding on the left included. */
  readonly ids: readonly number[]
  /** How many of them are padding. */
  readonly padding: number
}

/** Changes one row of scores in place; removed tokens get -Infinity. */
export type LogitsProcessor = (scores: Float32Array, step: StepContext) => void

const REMOVED = Number.NEGATIVE_INFINITY

export const asList = (ids: number | readonly number[] | null | undefined): readonly number[] =>
  ids === null || ids === undefined ? [] : typeof ids === 'number' ? [ids] : ids

const remove = (scores: Float32Array, ids: readonly number[]): void => {
  for (const id of ids) scores[id] = REMOVED
}

const only = (scores: Float32Array, ids: readonly number[]): void => {
  scores.fill(REMOVED)
  for (const id of ids) scores[id] = 0
}

/** Divides positive scores of tokens seen so far by the penalty, multiplies negative ones (Keskar et al. 2019). */
export const repetitionPenalty =
  (penalty: number): LogitsProcessor =>
  (scores, { ids, padding }) => {
    for (const id of new Set(ids.slice(padding)))
      scores[id] = Math.fround(scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty)
  }

/** Removes every token that would complete an n-gram a second time. */
export const noRepeatNgram =
  (n: number): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length + 1 < n) return
    const tail = ids.slice(ids.length - n + 1)
    for (let i = 0; i + n <= ids.length; i++)
      if (tail.every((t, j) => ids[i + j] === t)) scores[ids[i + n - 1]] = REMOVED
  }

/** Adds a bias to the last token of each sequence whose beginning the text ends with. */
export function sequenceBias(biases: readonly (readonly [readonly number[], number])[]): LogitsProcessor {
  for (const [ids] of biases)
    if (ids.length === 0 || ids.some((id) => !Number.isInteger(id) || id < 0))
      throw new RangeError(`[generate] [${ids}] is not a sequence of token ids`)
  return (scores, { ids }) => {
    const total = new Map<number, number>()
    for (const [sequence, bias] of biases) {
      const prefix = sequence.slice(0, -1)
      if (prefix.length > ids.length || !prefix.every((t, j) => ids[ids.length - prefix.length + j] === t))
        continue
      const last = sequence[sequence.length - 1]
      if (last >= scores.length)
        throw new RangeError(
          `[generate] token ${last} of a bias is outside the vocabulary of ${scores.length}`,
        )
      total.set(last, (total.get(last) ?? 0) + bias)
    }
    for (const [id, bias] of total) scores[id] += bias
  }
}

/** Removes the last token of each bad sequence; end-of-sequence tokens by themselves are left alone. */
export const badWords = (words: readonly (readonly number[])[], eos: readonly number[]): LogitsProcessor =>
  sequenceBias(words.filter((w) => w.length !== 1 || !eos.includes(w[0])).map((w) => [w, REMOVED]))

/** Removes the end of the sequence while there are fewer than `length` tokens. */
export const minLength =
  (length: number, eos: readonly number[]): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length < length) remove(scores, eos)
  }

export const forcedBos =
  (bos: number): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length === 1) only(scores, [bos])
  }

/** Forces the end at the last position. */
export const forcedEos =
  (maxLength: number, eos: readonly number[]): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length === maxLength - 1) only(scores, eos)
  }

const LARGEST = 3.4028234663852886e38

/** NaN becomes 0, infinities the largest finite numbers. */
export const removeInvalidValues: LogitsProcessor = (scores) => {
  for (let i = 0; i < scores.length; i++) {
    if (Number.isNaN(scores[i])) scores[i] = 0
    else if (scores[i] === Infinity) scores[i] = LARGEST
    else if (scores[i] === -Infinity) scores[i] = -LARGEST
  }
}

/** Raises the score of the end more and more after `start` tokens. */
export const exponentialDecay =
  (start: number, factor: number, eos: readonly number[]): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length <= start) return
    const growth = factor ** (ids.length - start) - 1
    for (const id of eos) if (Number.isFinite(scores[id])) scores[id] += Math.abs(scores[id]) * growth
  }

export const suppressTokens =
  (tokens: readonly number[]): LogitsProcessor =>
  (scores) =>
    remove(scores, tokens)

/** Removes tokens at the first position after the prompt only. */
export const beginSuppress =
  (tokens: readonly number[], beginIndex: number): LogitsProcessor =>
  (scores, { ids }) => {
    if (ids.length === beginIndex) remove(scores, tokens)
  }
