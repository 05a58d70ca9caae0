/** Filling parameters with values, in place: PyTorch's `nn.init`. Each returns the tensor it filled. */
import { full, type Generator, noGrad, ones, rand, randn, type Tensor, zeros } from '../core/index.ts'
import { formatShape } from '../core/shape.ts'

interface RandomInit {
  /** The stream to draw from; the one that `manualSeed` seeds unless given. */
  generator?: Generator
}

const fill = (x: Tensor, values: Tensor): Tensor => noGrad(() => x.copy_(values))

export const constant_ = (x: Tensor, value: number): Tensor => fill(x, full(x.shape, value))
export const zeros_ = (x: Tensor): Tensor => fill(x, zeros(x.shape))
export const ones_ = (x: Tensor): Tensor => fill(x, ones(x.shape))

/** Normal with the given mean and standard deviation. */
export const normal_ = (x: Tensor, mean = 0, std = 1, options?: RandomInit): Tensor =>
  fill(x, randn(x.shape, options).mul(std).add(mean))

/** Uniform on [a, b). */
export const uniform_ = (x: Tensor, a = 0, b = 1, options?: RandomInit): Tensor =>
  fill(
    x,
    rand(x.shape, options)
      .mul(b - a)
      .add(a),
  )

/** Inputs and outputs of one unit of a weight [out, in, ...]. */
function fans(x: Tensor): { fanIn: number; fanOut: number } {
  if (x.ndim < 2)
    throw new RangeError(
      `[init] fan in and fan out need at least two dimensions, not shape ${formatShape(x.shape)}`,
    )
  const field = x.shape.slice(2).reduce((a, b) => a * b, 1)
  return { fanIn: x.shape[1] * field, fanOut: x.shape[0] * field }
}

/** Uniform on +-gain sqrt(6 / (fanIn + fanOut)) (Glorot and Bengio 2010). */
export function xavierUniform_(x: Tensor, gain = 1, options?: RandomInit): Tensor {
  const { fanIn, fanOut } = fans(x)
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut))
  return uniform_(x, -bound, bound, options)
}

/** Normal with standard deviation gain sqrt(2 / (fanIn + fanOut)). */
export function xavierNormal_(x: Tensor, gain = 1, options?: RandomInit): Tensor {
  const { fanIn, fanOut } = fans(x)
  return normal_(x, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), options)
}

export interface KaimingOptions extends RandomInit {
  /** Negative slope of a leaky ReLU that follows; PyTorch's Linear passes sqrt(5). Default 0. */
  a?: number
  mode?: 'fanIn' | 'fanOut'
  /** `relu` ignores the slope, `linear` has gain 1. Default leakyRelu. */
  nonlinearity?: 'leakyRelu' | 'relu' | 'linear'
}

function kaimingStd(x: Tensor, { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu' }: KaimingOptions) {
  const gain = nonlinearity === 'linear' ? 1 : Math.sqrt(2 / (1 + (nonlinearity === 'relu' ? 0 : a * a)))
  return gain / Math.sqrt(fans(x)[mode])
}

/** Uniform with standard deviation gain / sqrt(fan) (He et al. 2015). */
export function kaimingUniform_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd(x, options)
  return uniform_(x, -bound, bound, options)
}

export const kaimingNormal_ = (x: Tensor, options: KaimingOptions = {}): Tensor =>
  normal_(x, 0, kaimingStd(x, options), options)
