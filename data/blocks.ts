export interface BlockOptions {
  /** Tokens in a block. */
  blockSize: number
  /** Put after every text, usually the end-of-text token. Default: none. */
  separatorId?: number
  /** What to do with the tokens that do not fill a last block. Default `drop`. */
  remainder?: 'drop' | 'keep'
}

/**
 * Causal language modelling: joins tokenized texts into one stream and cuts it into blocks of `blockSize` tokens, so
 * that nothing is padded. Holds one block in memory at a time.
 *
 * @throws RangeError if `blockSize` is not at least 2: a block of one token has nothing to predict.
 */
export async function* chunkIntoBlocks(
  texts: Iterable<ArrayLike<number>> | AsyncIterable<ArrayLike<number>>,
  { blockSize, separatorId, remainder = 'drop' }: BlockOptions,
): AsyncGenerator<Int32Array> {
  if (!Number.isInteger(blockSize) || blockSize < 2)
    throw new RangeError(`[chunkIntoBlocks] blockSize ${blockSize} must be an integer of at least 2`)
  const separator = separatorId === undefined ? [] : [separatorId]
  let block = new Int32Array(blockSize)
  let filled = 0
  for await (const text of texts) {
    for (const ids of [text, separator]) {
      for (let i = 0; i < ids.length; i++) {
        block[filled++] = ids[i]
        if (filled < blockSize) continue
        yield block
        block = new Int32Array(blockSize)
        filled = 0
      }
    }
  }
  if (remainder === 'keep' && filled > 1) yield block.slice(0, filled)
}
