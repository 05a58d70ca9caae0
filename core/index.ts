/** Tensors, autograd and devices: what `import ... from 'tunesmith'` gives. */
export { type BackwardOptions, customFunction, type GradOptions, grad, type Removable } from './autograd.ts'
export type { DeviceName } from './backend.ts'
export { setDebug } from './debug.ts'
export { backendFor, type DeviceChoice, type DeviceOptions, setDefaultDevice, shutdown } from './device.ts'
export type { DType, TypedArray } from './dtype.ts'
export { evaluate, evaluateSync } from './evaluate.ts'
export { zeroGrad } from './gradients.ts'
export { type MemoryStats, memory } from './memory.ts'
export { detectAnomaly, eager, enableGrad, isGradEnabled, noGrad, setEager, skipInit } from './modes.ts'
export { add, div, mul, neg, pow, sub } from './ops/arithmetic.ts'
export { cat, stack } from './ops/assemble.ts'
export { type AttentionOptions, attention, attentionWithWeights, segmentIds } from './ops/attention.ts'
export { cast } from './ops/cast.ts'
export { eq, ge, gt, le, lt, maximum, minimum, ne } from './ops/compare.ts'
export { arange, full, fullLike, ones, onesLike, tril, triu, zeros, zerosLike } from './ops/create.ts'
export { assign, StateTensor } from './ops/effects.ts'
export {
  argmax,
  argmin,
  embedding,
  gather,
  type Index,
  indexSelect,
  oneHot,
  scatterAddRows,
} from './ops/indexing.ts'

import './ops/inplace.ts'

export { logicalAnd, logicalNot, logicalOr, logicalXor } from './ops/logic.ts'
export { affine, linear, matmul } from './ops/matmul.ts'
export { layerNorm, logSoftmax, rmsNorm, softmax } from './ops/normalize.ts'
export { dropout, rand, randint, randn } from './ops/random.ts'
export { all, amax, amin, any, logsumexp, mean, prod, sum, variance as var_ } from './ops/reduce.ts'
export {
  abs,
  ceil,
  clamp,
  cos,
  erf,
  exp,
  expm1,
  floor,
  gelu,
  isfinite,
  isnan,
  log,
  log1p,
  reciprocal,
  relu,
  round,
  rsqrt,
  sigmoid,
  sign,
  silu,
  sin,
  softplus,
  sqrt,
  square,
  tanh,
  trunc,
} from './ops/unary.ts'
export {
  chunk,
  expand,
  flatten,
  narrow,
  permute,
  reshape,
  select,
  slice,
  split,
  squeeze,
  transpose,
  unsqueeze,
} from './ops/views.ts'
export { maskedFill, where } from './ops/where.ts'
export { type ProfileOptions, profile } from './profile/profile.ts'
export type { ModuleRow, Profile, ProfileRow } from './profile/report.ts'
export { defaultGenerator, Generator, manualSeed } from './random.ts'

import './gradients.ts'
import './eager.ts'

export { toDevice } from './move.ts'

import './read.ts'

export type { Shape } from './shape.ts'
export { State } from './state.ts'
export { Tensor, type TensorOptions, tensor } from './tensor.ts'
