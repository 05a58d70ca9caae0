/** Elementwise functions of one tensor. Gradients are tensor ops, so they fuse and can be differentiated again. */

import { constant, type Expr } from '../expr.ts'
import type { Tensor } from '../tensor.ts'
import { add, div, mul, neg as negOf, sub } from './arithmetic.ts'
import { cast } from './cast.ts'
import { ge, gt, le } from './compare.ts'
import { method, unary } from './define.ts'
import { where } from './where.ts'

const SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI)
const SQRT_HALF = Math.SQRT1_2

const sigmoidExpr = (x: Expr): Expr => constant(1, 'f32').div(x.neg().exp().add(1))
/** 0.5 (1 + erf(x / sqrt 2)): the normal distribution's cumulative function. */
const normalCdf = (x: Expr): Expr => x.mul(SQRT_HALF).erf().add(1).mul(0.5)
const geluTanhInner = (x: Expr): Expr => x.mul(x).mul(x).mul(0.044715).add(x).mul(SQRT_2_OVER_PI)

export const exp = unary('exp', {
  result: 'float',
  expr: (x) => x.exp(),
  grad: ({ dy, outputs: [y] }) => [mul(dy, y)],
})
export const expm1 = unary('expm1', {
  result: 'float',
  expr: (x) => x.expm1(),
  grad: ({ dy, outputs: [y] }) => [mul(dy, add(y, 1))],
})
export const log = unary('log', {
  result: 'float',
  expr: (x) => x.log(),
  grad: ({ dy, inputs: [x] }) => [div(dy, x)],
})
export const log1p = unary('log1p', {
  result: 'float',
  expr: (x) => x.log1p(),
  grad: ({ dy, inputs: [x] }) => [div(dy, add(x, 1))],
})
export const sqrt = unary('sqrt', {
  result: 'float',
  expr: (x) => x.sqrt(),
  grad: ({ dy, outputs: [y] }) => [div(mul(dy, 0.5), y)],
})
export const rsqrt = unary('rsqrt', {
  result: 'float',
  expr: (x) => constant(1, 'f32').div(x.sqrt()),
  grad: ({ dy, outputs: [y] }) => [mul(mul(dy, -0.5), mul(y, mul(y, y)))],
})
export const reciprocal = unary('reciprocal', {
  result: 'float',
  expr: (x) => constant(1, 'f32').div(x),
  grad: ({ dy, outputs: [y] }) => [negOf(mul(dy, mul(y, y)))],
})
export const sin: (x: Tensor) => Tensor = unary('sin', {
  result: 'float',
  expr: (x) => x.sin(),
  grad: ({ dy, inputs: [x] }) => [mul(dy, cos(x))],
})
export const cos: (x: Tensor) => Tensor = unary('cos', {
  result: 'float',
  expr: (x) => x.cos(),
  grad: ({ dy, inputs: [x] }) => [negOf(mul(dy, sin(x)))],
})
export const tanh = unary('tanh', {
  result: 'float',
  expr: (x) => x.tanh(),
  grad: ({ dy, outputs: [y] }) => [mul(dy, sub(1, mul(y, y)))],
})
export const erf = unary('erf', {
  result: 'float',
  expr: (x) => x.erf(),
  grad: ({ dy, inputs: [x] }) => [mul(dy, mul(exp(negOf(mul(x, x))), 2 / Math.sqrt(Math.PI)))],
})
export const sigmoid = unary('sigmoid', {
  result: 'float',
  expr: sigmoidExpr,
  grad: ({ dy, outputs: [y] }) => [mul(dy, mul(y, sub(1, y)))],
})
export const square = unary('square', {
  result: 'same',
  expr: (x) => x.mul(x),
  grad: ({ dy, inputs: [x] }) => [mul(dy, mul(x, 2))],
})
export const abs = unary('abs', {
  result: 'same',
  expr: (x) => x.abs(),
  grad: ({ dy, inputs: [x] }) => [mul(dy, sign(x))],
})
export const sign = unary('sign', {
  result: 'same',
  expr: (x) =>
    x
      .gt(0)
      .select(
        constant(1, x.type),
        x.lt(0).select(constant(-1, x.type), x.type === 'f32' ? x.mul(0) : constant(0, 'i32')),
      ),
})
export const floor = unary('floor', { result: 'same', expr: (x) => (x.type === 'f32' ? x.floor() : x) })
export const ceil = unary('ceil', { result: 'same', expr: (x) => (x.type === 'f32' ? x.ceil() : x) })
export const round = unary('round', { result: 'same', expr: (x) => (x.type === 'f32' ? x.round() : x) })
export const trunc = unary('trunc', { result: 'same', expr: (x) => (x.type === 'f32' ? x.trunc() : x) })

/** max(x, 0). */
export const relu = unary('relu', {
  result: 'same',
  expr: (x) => x.max(0),
  grad: ({ dy, outputs: [y] }) => [where(gt(y, 0), dy, 0)],
})

/** x * sigmoid(x), also known as swish. */
export const silu = unary('silu', {
  result: 'float',
  expr: (x) => x.mul(sigmoidExpr(x)),
  grad: ({ dy, inputs: [x] }) => {
    const s = sigmoid(x)
    return [mul(dy, mul(s, add(mul(x, sub(1, s)), 1)))]
  },
})

const geluExact = unary('gelu', {
  result: 'float',
  expr: (x) => x.mul(normalCdf(x)),
  grad: ({ dy, inputs: [x] }) => {
    const cdf = mul(add(erf(mul(x, SQRT_HALF)), 1), 0.5)
    const pdf = mul(exp(mul(mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI))
    return [mul(dy, add(cdf, mul(x, pdf)))]
  },
})

const geluTanh = unary('gelu.tanh', {
  result: 'float',
  expr: (x) => x.mul(0.5).mul(geluTanhInner(x).tanh().add(1)),
  grad: ({ dy, inputs: [x] }) => {
    const x2 = mul(x, x)
    const t = tanh(mul(add(x, mul(mul(x2, x), 0.044715)), SQRT_2_OVER_PI))
    const inner = mul(add(mul(x2, 3 * 0.044715), 1), SQRT_2_OVER_PI)
    return [mul(dy, add(mul(add(t, 1), 0.5), mul(mul(x, 0.5), mul(sub(1, mul(t, t)), inner))))]
  },
})

/** The Gaussian error linear unit (Hendrycks and Gimpel 2016): exact, or by the tanh formula with `approximate: 'tanh'`. */
export function gelu(x: Tensor, options: { approximate?: 'none' | 'tanh' } = {}): Tensor {
  return options.approximate === 'tanh' ? geluTanh(x) : geluExact(x)
}

/** log(1 + exp(x)), without overflow. */
export const softplus = unary('softplus', {
  result: 'float',
  expr: (x) => x.max(0).add(x.abs().neg().exp().log1p()),
  grad: ({ dy, inputs: [x] }) => [mul(dy, sigmoid(x))],
})

export const isnan = unary('isnan', {
  result: 'bool',
  expr: (x) => (x.type === 'f32' ? x.bitsToI32().and(0x7fffffff).gt(0x7f800000) : constant(0, 'bool')),
})
export const isfinite = unary('isfinite', {
  result: 'bool',
  expr: (x) => (x.type === 'f32' ? x.bitsToI32().and(0x7fffffff).lt(0x7f800000) : constant(1, 'bool')),
})

/** Values limited to [min, max]; the gradient passes where the value was inside. */
export function clamp(x: Tensor, min?: number, max?: number): Tensor {
  if (min === undefined && max === undefined) throw new TypeError('[clamp] needs min, max, or both')
  let y = x
  if (min !== undefined) y = where(ge(y, min), y, min)
  if (max !== undefined) y = where(le(y, max), y, max)
  // a comparison with NaN is false: let it through
  return x.dtype === 'float32' ? where(isnan(x), x, y) : y
}

declare module '../tensor.ts' {
  interface Tensor {
    exp(): Tensor
    expm1(): Tensor
    log(): Tensor
    log1p(): Tensor
    sqrt(): Tensor
    rsqrt(): Tensor
    reciprocal(): Tensor
    sin(): Tensor
    cos(): Tensor
    tanh(): Tensor
    erf(): Tensor
    sigmoid(): Tensor
    square(): Tensor
    abs(): Tensor
    sign(): Tensor
    floor(): Tensor
    ceil(): Tensor
    round(): Tensor
    trunc(): Tensor
    relu(): Tensor
    silu(): Tensor
    gelu(options?: { approximate?: 'none' | 'tanh' }): Tensor
    softplus(): Tensor
    isnan(): Tensor
    isfinite(): Tensor
    /** Values limited to [min, max]. */
    clamp(min?: number, max?: number): Tensor
    float(): Tensor
    int(): Tensor
    bool(): Tensor
  }
}

for (const [name, fn] of Object.entries({
  exp,
  expm1,
  log,
  log1p,
  sqrt,
  rsqrt,
  reciprocal,
  sin,
  cos,
  tanh,
  erf,
  sigmoid,
  square,
  abs,
  sign,
  floor,
  ceil,
  round,
  trunc,
  relu,
  silu,
  softplus,
  isnan,
  isfinite,
}))
  method(name as 'exp', fn)
method('gelu', gelu)
method('clamp', clamp)
method('float', (x) => cast(x, 'float32'))
method('int', (x) => cast(x, 'int32'))
method('bool', (x) => cast(x, 'bool'))
