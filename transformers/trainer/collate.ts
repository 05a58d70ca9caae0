import { type Tensor, tensor } from '../../core/index.ts'
import { pack, packValues, padBatch, padValues } from '../../data/index.ts'

/** Marks a place that has nothing to predict, as in PyTorch's cross-entropy. */
export const IGNORE_INDEX = -100

/** What a model is called with. */
export interface BatchInputs {
  /** int32 [1, T] packed, [B, T] padded. */
  inputIds: Tensor
  /** Packed: places within each text, int32 [1, T]. */
  positionIds?: Tensor
  /** Packed: where the texts begin, and the end, [B + 1]. */
  cuSeqlens?: Int32Array
  /** Padded: 1 for a token, 0 for padding, int32 [B, T]. */
  attentionMask?: Tensor
  /** int32: [B] classes of texts, or ids [1, T] or [B, T], with -100 where there is nothing to predict. */
  labels: Tensor
}

export interface Batch {
  inputs: BatchInputs
  /** Real tokens. */
  tokens: number
  /** Places that are computed: real tokens and padding. */
  places: number
}

export type Layout = { packing: true } | { packing: false; padTokenId: number }

/** Labels of a batch: one for each text, or one for each token. */
export type BatchLabels =
  | { of: 'texts'; values: Int32Array }
  | { of: 'tokens'; values: readonly ArrayLike<number>[] }

/** Texts as one batch, packed into one row or padded to the longest. */
export function collate(texts: readonly Int32Array[], labels: BatchLabels, layout: Layout): Batch {
  const tokens = texts.reduce((sum, { length }) => sum + length, 0)
  const perText = labels.of === 'texts' ? int32(labels.values, [texts.length]) : undefined
  if (layout.packing) {
    const { inputIds, positionIds, cuSeqlens } = pack(texts)
    const row = [1, tokens]
    const inputs = {
      inputIds: int32(inputIds, row),
      positionIds: int32(positionIds, row),
      cuSeqlens,
      labels: perText ?? int32(packValues(labels.values as readonly ArrayLike<number>[], cuSeqlens), row),
    }
    return { inputs, tokens, places: tokens }
  }
  const { inputIds, attentionMask, shape } = padBatch(texts, { padTokenId: layout.padTokenId })
  const perToken = () =>
    padValues(labels.values as readonly ArrayLike<number>[], {
      value: IGNORE_INDEX,
      paddingSide: 'right',
      length: shape[1],
    })
  const inputs = {
    inputIds: int32(inputIds, shape),
    attentionMask: int32(attentionMask, shape),
    labels: perText ?? int32(perToken(), shape),
  }
  return { inputs, tokens, places: shape[0] * shape[1] }
}

function int32(values: Int32Array, shape: number[]): Tensor {
  return tensor(values, shape, { dtype: 'int32' })
}
