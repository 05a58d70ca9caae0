/** Random tensors and dropout. */
import { constant, type Expr } from '../expr.ts'
import type { CallOp, MapOp } from '../op.ts'
import { defaultGenerator, type Generator } from '../random.ts'
import { numel, type Shape } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { method } from './define.ts'
import { reshape } from './views.ts'

export interface RandomOptions {
  /** The stream to draw from; the default one is seeded by `manualSeed`. */
  generator?: Generator
}

const philoxOp: CallOp = {
  kind: 'call',
  name: 'philox',
  call: 'philox',
  scalarTypes: () => ['i32', 'i32', 'i32', 'i32'],
}

/** 32 random bits per element, as int32. */
export function randomBits(shape: Shape, { generator = defaultGenerator }: RandomOptions = {}): Tensor {
  const n = numel(shape)
  const { key0, key1, counter0, counter1 } = generator.reserve(n)
  return reshape(apply(philoxOp, [], [n], 'int32', {}, [key0, key1, counter0, counter1]), shape)
}

/** The upper 24 bits as a float in [0, 1): every value is exact, so all backends agree. */
const unit = (bits: Expr): Expr =>
  bits
    .ushr(8)
    .toF32()
    .mul(2 ** -24)

const uniformOp: MapOp = { kind: 'map', name: 'uniform', expr: ([bits]) => unit(bits) }
/** Box and Muller's transform; the first uniform is moved to (0, 1] so that its logarithm is finite. */
const normalOp: MapOp = {
  kind: 'map',
  name: 'normal',
  expr: ([a, b]) =>
    unit(a)
      .add(2 ** -24)
      .log()
      .mul(-2)
      .sqrt()
      .mul(
        unit(b)
          .mul(2 * Math.PI)
          .cos(),
      ),
}

/** Uniform on [0, 1). */
export const rand = (shape: Shape, options?: RandomOptions): Tensor =>
  apply(uniformOp, [randomBits(shape, options)], shape, 'float32')

/** Standard normal. */
export const randn = (shape: Shape, options?: RandomOptions): Tensor =>
  apply(normalOp, [randomBits(shape, options), randomBits(shape, options)], shape, 'float32')

/** Whole numbers, uniform on [low, high). */
export const randint = (low: number, high: number, shape: Shape, options?: RandomOptions): Tensor =>
  rand(shape, options)
    .mul(high - low)
    .floor()
    .clamp(0, high - low - 1)
    .int()
    .add(low)

const dropoutOp: MapOp = {
  kind: 'map',
  name: 'dropout',
  expr: ([x, bits], s) =>
    unit(bits)
      .ge(s(0, 'f32'))
      .select(x.mul(s(1, 'f32')), constant(0, 'f32')),
  grad: ({ dy, inputs: [, bits], scalars }) => [
    apply(dropoutOp, [dy, bits], dy.shape, 'float32', {}, scalars),
    null,
  ],
}

/** Zeroes elements with probability p and scales the others by 1 / (1 - p) (Srivastava et al. 2014). */
export function dropout(x: Tensor, p: number, options?: RandomOptions): Tensor {
  if (!(p >= 0 && p <= 1)) throw new RangeError(`[dropout] p ${p} is not a probability`)
  if (p === 0) return x
  return apply(dropoutOp, [x, randomBits(x.shape, options)], x.shape, 'float32', {}, [
    p,
    p === 1 ? 0 : 1 / (1 - p),
  ])
}

declare module '../tensor.ts' {
  interface Tensor {
    dropout(p: number, options?: RandomOptions): Tensor
  }
}
method('dropout', dropout)
