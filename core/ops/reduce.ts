/** Reductions over one, several or all dimensions. */
import { isFloat } from '../dtype.ts'
import type { GradRule, ReduceOp } from '../op.ts'
import type { Combine } from '../plan/kernel.ts'
import { normalizeDims, numel } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { add, div, mul, sub } from './arithmetic.ts'
import { cast } from './cast.ts'
import { eq } from './compare.ts'
import { method } from './define.ts'
import { exp, log } from './unary.ts'
import { expand, reshape } from './views.ts'
import { where } from './where.ts'

export type Dims = number | readonly number[] | undefined
export interface ReduceOptions {
  /** Keep the reduced dimensions as size 1. */
  keepdim?: boolean
  dim?: Dims
}

type Reduction = (x: Tensor, dim?: Dims | ReduceOptions, options?: ReduceOptions) => Tensor

/** `dim` and options as given: `x.sum(1, { keepdim })` and `x.sum({ dim: 1, keepdim })` are the same. */
function given<O extends ReduceOptions>(dim: Dims | O, options: O | undefined): [Dims, O] {
  if (typeof dim === 'object' && !Array.isArray(dim)) return [(dim as O).dim, dim as O]
  const rest = options ?? ({} as O)
  return [(dim as Dims) ?? rest.dim, rest]
}

const reduction = (name: string, combine: Combine, grad?: GradRule): Reduction => {
  const op: ReduceOp = { kind: 'reduce', name, combine, grad }
  return (x, dim, more) => {
    const [wanted, options] = given(dim, more)
    const dims = normalizeDims(wanted, x.ndim, name)
    const kept = x.shape.map((s, d) => (dims.includes(d) ? 1 : s))
    const input = x.dtype === 'bool' ? cast(x, 'int32') : cast(x, isFloat(x.dtype) ? 'float32' : x.dtype)
    if ((combine === 'max' || combine === 'min') && dims.some((d) => x.shape[d] === 0))
      throw new RangeError(`[${name}] of no elements is undefined: a reduced dimension has size 0`)
    // a 0-dimensional tensor is one element in one dimension
    const source = x.ndim === 0 ? reshape(input, [1]) : input
    const out = apply(op, [source], x.ndim === 0 ? [1] : kept, input.dtype, {
      dims: x.ndim === 0 ? [0] : dims,
    })
    return options.keepdim
      ? reshape(out, kept)
      : reshape(
          out,
          x.shape.filter((_, d) => !dims.includes(d)),
        )
  }
}

const toSum: GradRule = ({ dy, inputs: [x] }) => [expand(dy, x.shape)]

/** Of equal extremes each gets the same share, as PyTorch's amax and amin do. */
const toExtremes: GradRule = ({ dy, inputs: [x], outputs: [y], attrs }) => {
  const at = cast(eq(x, y), 'float32')
  return [mul(div(dy, sum(at, attrs.dims as number[], { keepdim: true })), at)]
}

/** Sum; bools and integers give int32. */
export const sum: Reduction = reduction('sum', 'sum', toSum)
/** Product. */
export const prod: Reduction = reduction('prod', 'prod', ({ dy, inputs: [x], attrs }) => {
  // dividing the product by the element fails at 0: a single 0 gets the product of the others, beside it all get 0
  const dims = attrs.dims as number[]
  const isZero = eq(x, 0)
  const zeros = sum(isZero, dims, { keepdim: true })
  const filled = where(isZero, 1, x)
  const others = div(prod(filled, dims, { keepdim: true }), filled)
  return [mul(dy, where(eq(zeros, cast(isZero, 'int32')), others, 0))]
})
/** Largest element; NaN if there is one. */
export const amax: Reduction = reduction('amax', 'max', toExtremes)
export const amin: Reduction = reduction('amin', 'min', toExtremes)

export const mean: Reduction = (x, dim, more) => {
  if (!isFloat(x.dtype)) throw new TypeError(`[mean] needs floats, not ${x.dtype}: use x.float().mean()`)
  const [wanted, options] = given(dim, more)
  const dims = normalizeDims(wanted, x.ndim, 'mean')
  return mul(sum(x, wanted, options), 1 / numel(dims.map((d) => x.shape[d])))
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements; 1 unless given. */
  correction?: number
}

/** Variance with Bessel's correction unless `correction` says otherwise. */
export function variance(x: Tensor, dim?: Dims | VarianceOptions, more?: VarianceOptions): Tensor {
  const [wanted, options] = given(dim, more)
  const dims = normalizeDims(wanted, x.ndim, 'var')
  const n = numel(dims.map((d) => x.shape[d]))
  const centered = sub(x, mean(x, dims, { keepdim: true }))
  return div(
    sum(mul(centered, centered), dims, { keepdim: options.keepdim }),
    Math.max(0, n - (options.correction ?? 1)),
  )
}

/** True where any (all) of the elements are not 0. */
export const any: Reduction = (x, dim, options) => sum(cast(x, 'bool'), dim, options).gt(0)
export const all: Reduction = (x, dim, options) => sum(eq(x, 0), dim, options).eq(0)

/** log(sum(exp(x))) over `dim`, shifted by the largest element so that nothing overflows. */
export function logsumexp(x: Tensor, dim: Dims | ReduceOptions, more?: ReduceOptions): Tensor {
  const [wanted, options] = given(dim, more)
  const dims = normalizeDims(wanted, x.ndim, 'logsumexp')
  const top = amax(x, dims, { keepdim: true }).detach()
  // a row of only -inf (or with +inf) would subtract infinities: shift it by 0
  const shift = where(top.isfinite(), top, 0)
  const out = add(log(sum(exp(sub(x, shift)), dims, { keepdim: true })), shift)
  return options.keepdim
    ? out
    : reshape(
        out,
        x.shape.filter((_, d) => !dims.includes(d)),
      )
}

declare module '../tensor.ts' {
  interface Tensor {
    sum(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    prod(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    amax(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    amin(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    mean(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    var(dim?: Dims | VarianceOptions, options?: VarianceOptions): Tensor
    any(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    all(dim?: Dims | ReduceOptions, options?: ReduceOptions): Tensor
    logsumexp(dim: Dims | ReduceOptions, options?: ReduceOptions): Tensor
  }
}
for (const [name, fn] of Object.entries({ sum, prod, amax, amin, mean, any, all })) method(name as 'sum', fn)
method('var', variance)
method('logsumexp', logsumexp)
