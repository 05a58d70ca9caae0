/** One row per text: the first or the last of its tokens. */
import { arange, type Tensor, tensor } from '../core/index.ts'
import { functional as F } from '../nn/index.ts'
import { asInt, hostValues, type ModelInputs } from './inputs.ts'
import { boundariesOf, flatIndex, type Layout, segmentEnds, segmentStarts } from './layout.ts'

const rowsAt = (x: Tensor, index: Tensor): Tensor => F.embedding(index, x.reshape([-1, x.shape.at(-1)!]))

/** x [B, T, H] -> [B, H], or [S, H] for packed sequences. */
export function firstTokens(x: Tensor, layout: Layout): Tensor {
  return layout.boundaries ? rowsAt(x, segmentStarts(layout.boundaries)) : x.select(1, 0)
}

/** Position of the rightmost token of each row that is not padding, int32 [B]. */
function lastPositions(ids: Tensor, pad: number): Tensor {
  const [b, t] = ids.shape
  const values = hostValues(ids)
  if (!values) return arange(t).mul(ids.ne(pad).int()).argmax(-1)
  const out = new Int32Array(b)
  for (let row = 0; row < b; row++) {
    let at = t - 1
    while (at > 0 && values[row * t + at] === pad) at--
    out[row] = at
  }
  return tensor(out)
}

/** x [B, T, H] -> [B, H], or [S, H] for packed sequences. Padding on either side is found by `pad`, as in transformers. */
export function lastTokens(model: string, x: Tensor, inputs: ModelInputs, pad: number | null): Tensor {
  const [b, t] = x.shape
  const boundaries = boundariesOf(inputs.cuSeqlens, t)
  if (boundaries) return rowsAt(x, segmentEnds(boundaries))
  if (pad === null && b > 1)
    throw new Error(`[${model}] needs config.pad_token_id to find the last token of each of several texts`)
  if (pad === null || !inputs.inputIds) return x.select(1, t - 1)
  return rowsAt(x, flatIndex(lastPositions(asInt('inputIds', inputs.inputIds), pad), t))
}
