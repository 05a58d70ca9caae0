/** Sizes of a tensor, outermost dimension first. */
export type Shape = readonly number[]

export const numel = (shape: Shape): number => {
  let n = 1
  for (let d = 0; d < shape.length; d++) n *= shape[d]
  return n
}

export const sameShape = (a: Shape, b: Shape): boolean => {
  if (a.length !== b.length) return false
  for (let d = 0; d < a.length; d++) if (a[d] !== b[d]) return false
  return true
}

export const formatShape = (shape: Shape): string => `[${shape.join(',')}]`

/** Strides in elements of a row-major layout. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length)
  let stride = 1
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride
    stride *= shape[d]
  }
  return strides
}

/** The dimension counted from the front. Throws where it is out of range, naming the op. */
export function normalizeDim(dim: number, rank: number, op: string): number {
  const size = Math.max(rank, 1)
  if (!Number.isInteger(dim) || dim < -size || dim >= size)
    throw new RangeError(
      `[${op}] dim ${dim} is out of range for a tensor with ${rank} dimensions: use ${-size} to ${size - 1}`,
    )
  return dim < 0 ? dim + size : dim
}

/** Normalised, sorted, duplicate-free dims; all of them where `dims` is undefined. */
export function normalizeDims(
  dims: number | readonly number[] | undefined,
  rank: number,
  op: string,
): number[] {
  if (dims === undefined) return Array.from({ length: rank }, (_, d) => d)
  const list = (typeof dims === 'number' ? [dims] : [...dims]).map((d) => normalizeDim(d, rank, op))
  if (new Set(list).size !== list.length)
    throw new RangeError(`[${op}] a dimension appears twice in dim [${dims}]`)
  return rank === 0 ? [] : list.sort((a, b) => a - b)
}

/** The common shape of operands by NumPy's rule: sizes align from the right, a size of 1 stretches. */
export function broadcastShapes(op: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(0, ...shapes.map((s) => s.length))
  const out = new Array<number>(rank).fill(1)
  for (const shape of shapes)
    for (let d = 0; d < shape.length; d++) {
      const at = rank - shape.length + d
      if (shape[d] === 1 || shape[d] === out[at]) continue
      if (out[at] !== 1)
        throw new RangeError(
          `[${op}] shapes ${shapes.map(formatShape).join(' and ')} do not broadcast: ${out[at]} != ${shape[d]} (dim ${at} of the result)`,
        )
      out[at] = shape[d]
    }
  return out
}
