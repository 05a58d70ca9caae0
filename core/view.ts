import { contiguousStrides, numel, type Shape } from './shape.ts'

/** How the elements of a tensor lie in a buffer: element `i` is at `offset + sum(i[d] * strides[d])`, in elements. */
export interface View {
  readonly shape: Shape
  readonly strides: readonly number[]
  readonly offset: number
}

export const contiguousView = (shape: Shape, offset = 0): View => ({
  shape,
  strides: contiguousStrides(shape),
  offset,
})

export const isContiguous = (v: View): boolean => {
  let stride = 1
  for (let d = v.shape.length - 1; d >= 0; d--) {
    if (v.shape[d] !== 1 && v.strides[d] !== stride) return false
    stride *= v.shape[d]
  }
  return true
}

/** Stretches sizes of 1 and adds leading dimensions, with stride 0. The caller has checked that the shapes broadcast. */
export function expandView(v: View, shape: Shape): View {
  const lead = shape.length - v.shape.length
  const strides = shape.map((size, d) =>
    d < lead || (v.shape[d - lead] === 1 && size !== 1) ? 0 : v.strides[d - lead],
  )
  return { shape, strides, offset: v.offset }
}

export const permuteView = (v: View, dims: readonly number[]): View => ({
  shape: dims.map((d) => v.shape[d]),
  strides: dims.map((d) => v.strides[d]),
  offset: v.offset,
})

/** Elements `start, start + step, ...` of one dimension, `length` of them; a negative step walks backwards. */
export function sliceView(v: View, dim: number, start: number, step: number, length: number): View {
  const shape = v.shape.with(dim, length)
  const strides = v.strides.with(dim, v.strides[dim] * step)
  return { shape, strides, offset: v.offset + start * v.strides[dim] }
}

/**
 * The same elements under other sizes without moving them, or null where strides cannot express it.
 * Runs of dimensions that lie row-major relative to each other are merged, then split again.
 */
export function reshapeView(v: View, shape: Shape): View | null {
  if (numel(shape) === 0) return { shape, strides: contiguousStrides(shape), offset: v.offset }
  // merged runs of the source: [size, stride of the innermost element]
  const runs: { size: number; stride: number }[] = []
  for (let d = 0; d < v.shape.length; d++) {
    const size = v.shape[d]
    if (size === 1) continue
    const last = runs.at(-1)
    if (last && last.stride === size * v.strides[d]) {
      last.size *= size
      last.stride = v.strides[d]
    } else runs.push({ size, stride: v.strides[d] })
  }
  const strides = new Array<number>(shape.length).fill(0)
  let d = shape.length - 1
  for (let r = runs.length - 1; r >= 0; r--) {
    let left = runs[r].size
    let stride = runs[r].stride
    while (left > 1) {
      while (d >= 0 && shape[d] === 1) d--
      if (d < 0 || left % shape[d] !== 0) return null
      strides[d] = stride
      stride *= shape[d]
      left /= shape[d]
      d--
    }
  }
  return { shape, strides, offset: v.offset }
}
