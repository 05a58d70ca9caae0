/** Several texts as one row without padding. All arrays are int32; T is the number of tokens of all texts. */
export interface PackedBatch {
  /** Token ids, one text after the other. [T] */
  inputIds: Int32Array
  /** Place of each token in its own text, from 0. [T] */
  positionIds: Int32Array
  /** Where each text begins, and the end: text i is `cuSeqlens[i]` to `cuSeqlens[i + 1]`. [texts + 1] */
  cuSeqlens: Int32Array
  /** Tokens of the longest text. */
  maxSeqlen: number
}

export interface PackOptions {
  /** Most tokens of a single text, the model's context. */
  maxLength?: number
}

/**
 * Packs texts into one row. A model that gets `cuSeqlens` lets no token attend across a boundary and restarts its
 * positions, so the result for each text is that of the text alone.
 *
 * @throws RangeError if there is no text, a text is empty, or one is longer than `maxLength`.
 */
export function pack(sequences: readonly ArrayLike<number>[], options: PackOptions = {}): PackedBatch {
  const { maxLength = Number.POSITIVE_INFINITY } = options
  if (sequences.length === 0) throw new RangeError('[pack] there is nothing to pack')
  const cuSeqlens = new Int32Array(sequences.length + 1)
  let maxSeqlen = 0
  for (const [i, { length }] of sequences.entries()) {
    if (length === 0) throw new RangeError(`[pack] text ${i} has no tokens`)
    if (length > maxLength)
      throw new RangeError(`[pack] text ${i} has ${length} tokens, over maxLength ${maxLength}; truncate it`)
    cuSeqlens[i + 1] = cuSeqlens[i] + length
    maxSeqlen = Math.max(maxSeqlen, length)
  }
  const inputIds = packValues(sequences, cuSeqlens)
  const positionIds = Int32Array.from(inputIds)
  for (let i = 0; i < sequences.length; i++)
    for (let at = cuSeqlens[i]; at < cuSeqlens[i + 1]; at++) positionIds[at] = at - cuSeqlens[i]
  return { inputIds, positionIds, cuSeqlens, maxSeqlen }
}

/**
 * Lays other values of the same texts (token types, labels of tokens) side by side as `pack` did with their ids.
 *
 * @throws RangeError if the lengths are not those of `cuSeqlens`.
 */
export function packValues(values: readonly ArrayLike<number>[], cuSeqlens: Int32Array): Int32Array {
  const count = cuSeqlens.length - 1
  if (values.length !== count)
    throw new RangeError(`[packValues] ${values.length} texts, cuSeqlens has ${count}`)
  const out = new Int32Array(cuSeqlens[count])
  for (const [i, row] of values.entries()) {
    const length = cuSeqlens[i + 1] - cuSeqlens[i]
    if (row.length !== length)
      throw new RangeError(`[packValues] text ${i} has ${row.length} values for ${length} tokens`)
    out.set(row, cuSeqlens[i])
  }
  return out
}

/** Texts side by side, filled up to one length. Row-major, B texts of T tokens. */
export interface PaddedBatch {
  /** [B, T] */
  inputIds: Int32Array
  /** 1 for a token, 0 for padding. [B, T] */
  attentionMask: Int32Array
  shape: [batch: number, length: number]
}

export interface PadOptions {
  /** What fills the place of missing tokens in `inputIds`. */
  padTokenId: number
  /** Default `right`. Generation wants `left`, so that every text ends at the same place. */
  paddingSide?: 'left' | 'right'
  /** Length to fill up to. Default: that of the longest text. */
  length?: number
}

/**
 * Pads texts to one length.
 *
 * @throws RangeError if there is no text, or a text is longer than `length`.
 */
export function padBatch(sequences: readonly ArrayLike<number>[], options: PadOptions): PaddedBatch {
  const { padTokenId, paddingSide = 'right' } = options
  if (sequences.length === 0) throw new RangeError('[padBatch] there is nothing to pad')
  const longest = sequences.reduce((max, { length }) => Math.max(max, length), 0)
  const length = options.length ?? longest
  if (longest > length)
    throw new RangeError(`[padBatch] a text has ${longest} tokens, over length ${length}; truncate it`)
  const inputIds = padValues(sequences, { value: padTokenId, paddingSide, length })
  const ones = sequences.map((row) => new Int32Array(row.length).fill(1))
  const attentionMask = padValues(ones, { value: 0, paddingSide, length })
  return { inputIds, attentionMask, shape: [sequences.length, length] }
}

/** Lays other values of the same texts out as `padBatch` does, with `value` at the padding (-100 for labels). [B, T] */
export function padValues(
  rows: readonly ArrayLike<number>[],
  { value, paddingSide, length }: { value: number; paddingSide: 'left' | 'right'; length: number },
): Int32Array {
  const out = new Int32Array(rows.length * length).fill(value)
  for (const [i, row] of rows.entries()) {
    if (row.length > length)
      throw new RangeError(`[padValues] row ${i} has ${row.length} values, over length ${length}`)
    out.set(row, i * length + (paddingSide === 'left' ? length - row.length : 0))
  }
  return out
}
