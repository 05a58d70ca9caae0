/** Where the tokens of a call are: their positions, which of them are padding, where packed sequences begin, what is cached. */
import { arange, cat, full, Tensor, tensor } from '../core/index.ts'
import { formatShape } from '../core/shape.ts'
import type { KVCache } from './cache.ts'
import { asInt, type CausalInputs, hostValues, type TensorLike } from './inputs.ts'

export interface Layout {
  readonly batch: number
  readonly tokens: number
  /** Position of each token, int32 [B, T] or [1, T]. */
  readonly positions: Tensor
  /** Bool [B, 1, 1, keys]: true for tokens that may be seen; or numbers to add to the scores. Null where all may be seen. */
  readonly mask: Tensor | null
  /**
   * True where the mask holds numbers to add that hide later tokens too and leave some tokens without anything to see: the
   * kernel knows no such rows, plain ops do.
   */
  readonly denseMask: boolean
  /** Boundaries of packed sequences, int32 [S + 1], and the same on the host. */
  readonly cuSeqlens: Tensor | null
  readonly boundaries: Int32Array | null
  readonly cache: KVCache | null
  /** Keys that are filled, of a cache. */
  readonly kvLength: number | undefined
}

/** Where packed sequences begin, and the end; null where the rows are not packed. */
export function boundariesOf(given: CausalInputs['cuSeqlens'], tokens: number): Int32Array | null {
  if (!given) return null
  const values = given instanceof Tensor ? hostValues(given) : given
  if (!values) throw new TypeError('[cuSeqlens] must be known when the model is called: pass an array')
  const b = Int32Array.from(values)
  const rising = b.every((x, i) => i === 0 || x > b[i - 1])
  if (b.length < 2 || b[0] !== 0 || b[b.length - 1] !== tokens || !rising)
    throw new RangeError(`[cuSeqlens] [${b}] must rise from 0 to the ${tokens} tokens of the row`)
  return b
}

/** 0, 1, 2, ... in every segment. */
function restartingPositions(boundaries: Int32Array): Tensor {
  const tokens = boundaries[boundaries.length - 1]
  const out = new Int32Array(tokens)
  for (let s = 0; s + 1 < boundaries.length; s++)
    for (let i = boundaries[s]; i < boundaries[s + 1]; i++) out[i] = i - boundaries[s]
  return tensor(out, [1, tokens])
}

/** Bool [B, 1, 1, keys]; null where everything is seen, which spares the kernels a mask. */
function maskOf(given: TensorLike, batch: number, filled: number, keys: number): Tensor | null {
  const mask = given instanceof Tensor ? given : tensor(given, { dtype: 'int32' })
  if (mask.ndim !== 2 || mask.shape[0] !== batch || mask.shape[1] !== filled)
    throw new RangeError(
      `[attentionMask] has shape ${formatShape(mask.shape)}, not [${batch},${filled}]${keys > filled ? ' (cached tokens included)' : ''}`,
    )
  const values = hostValues(mask)
  if (values?.every((x) => x !== 0)) return null
  if (values) {
    // keys behind the filled ones are not read: marked as seen, the mask of a cache stays the same from token to token
    const bits = new Uint8Array(batch * keys).fill(1)
    for (let b = 0; b < batch; b++)
      for (let i = 0; i < filled; i++) bits[b * keys + i] = values[b * filled + i] ? 1 : 0
    return tensor(bits, [batch, 1, 1, keys])
  }
  const seen = mask.ne(0)
  const padded = keys > filled ? cat([seen, full([batch, keys - filled], false)], 1) : seen
  return padded.reshape([batch, 1, 1, keys])
}

/** @throws RangeError where shapes do not fit, or options exclude each other */
export function layoutOf(
  model: string,
  inputs: CausalInputs,
  { batch, tokens }: { batch: number; tokens: number },
): Layout {
  const cache = inputs.pastKeyValues ?? null
  const past = cache?.length ?? 0
  cache?.reserve(tokens)
  const keys = cache ? cache.capacity : tokens
  const boundaries = boundariesOf(inputs.cuSeqlens, tokens)
  if (boundaries && batch !== 1)
    throw new RangeError(`[${model}] packed sequences come in one row, not ${batch}`)
  if (boundaries && cache) throw new Error(`[${model}] packed sequences and a cache do not go together`)
  const mask = inputs.attentionMask ? maskOf(inputs.attentionMask, batch, past + tokens, keys) : null
  if (mask && boundaries)
    throw new Error(`[${model}] packed sequences have no padding: leave attentionMask out`)
  return {
    batch,
    tokens,
    positions: positionsOf(inputs, batch, tokens, past, boundaries),
    mask,
    denseMask: false,
    cuSeqlens: boundaries && tensor(boundaries),
    boundaries,
    cache,
    kvLength: cache ? past + tokens : undefined,
  }
}

function positionsOf(
  inputs: CausalInputs,
  batch: number,
  tokens: number,
  past: number,
  boundaries: Int32Array | null,
): Tensor {
  if (inputs.positionIds) {
    const given = asInt('positionIds', inputs.positionIds)
    if (given.ndim !== 2 || given.shape[1] !== tokens || (given.shape[0] !== batch && given.shape[0] !== 1))
      throw new RangeError(
        `[positionIds] has shape ${formatShape(given.shape)}, not [${batch},${tokens}] or [1,${tokens}]`,
      )
    return given
  }
  if (boundaries) return restartingPositions(boundaries)
  return tensor(
    Int32Array.from({ length: tokens }, (_, i) => past + i),
    [1, tokens],
  )
}

/** Index int32 [S] of the first token of each segment in the row. */
export const segmentStarts = (boundaries: Int32Array): Tensor => tensor(boundaries.slice(0, -1))

/** Index int32 [S] of the last token of each segment in the row. */
export const segmentEnds = (boundaries: Int32Array): Tensor =>
  tensor(boundaries.slice(1).map((end) => end - 1))

/** Index of each row's token `column` [B] in the flattened [B * T]. */
export const flatIndex = (column: Tensor, tokens: number): Tensor =>
  arange(column.shape[0]).mul(tokens).add(column)

/** @throws RangeError for texts that are longer than the model's table of positions */
export function checkContext(model: string, layout: Layout, maxPositions: number): void {
  let last = 0
  for (const position of hostValues(layout.positions) ?? []) if (position > last) last = position
  if (last >= maxPositions)
    throw new RangeError(
      `[${model}] ${last + 1} tokens are more than the context of ${maxPositions}: truncate the text`,
    )
}
