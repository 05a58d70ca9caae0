import type { Tensor } from '../../core/index.ts'
import * as T from '../../core/index.ts'

export interface OpCase {
  name: string
  fn: (...x: Tensor[]) => Tensor
  shapes: number[][]
  /** Inputs above 0 only: logarithms, roots. */
  positive?: boolean
  /** Gradients of gradients too; false for ops whose kernel has none. */
  second?: boolean
}

const unary = (name: string, fn: (x: Tensor) => Tensor, positive = false): OpCase => ({
  name,
  fn,
  shapes: [[2, 3]],
  positive,
})
const binary = (name: string, fn: (a: Tensor, b: Tensor) => Tensor, positive = false): OpCase[] => [
  {
    name,
    fn,
    shapes: [
      [2, 3],
      [2, 3],
    ],
    positive,
  },
  {
    name: `${name}, broadcast`,
    fn,
    shapes: [
      [2, 1, 3],
      [4, 1],
    ],
    positive,
  },
]
const ids = (values: number[], shape: number[] = [values.length]) => T.tensor(Int32Array.from(values), shape)

/** Samples of every differentiable op: forward and gradients are checked on them, on every backend. */
export const OP_CASES: OpCase[] = [
  ...(
    [
      'exp',
      'expm1',
      'sin',
      'cos',
      'tanh',
      'erf',
      'sigmoid',
      'square',
      'abs',
      'relu',
      'silu',
      'gelu',
      'softplus',
      'neg',
    ] as const
  ).map((n) => unary(n, (x) => x[n]())),
  ...(['log', 'log1p', 'sqrt', 'rsqrt', 'reciprocal'] as const).map((n) => unary(n, (x) => x[n](), true)),
  unary('gelu tanh', (x) => x.gelu({ approximate: 'tanh' })),
  unary('clamp', (x) => x.clamp(-0.9, 0.7)),
  unary('number on the right', (x) => x.mul(3).add(1).div(2).sub(0.5)),
  unary('number on the left', (x) => T.sub(2, T.div(1, x)), true),
  ...binary('add', T.add),
  ...binary('sub', T.sub),
  ...binary('mul', T.mul),
  ...binary('div', T.div, true),
  ...binary('maximum', T.maximum),
  ...binary('minimum', T.minimum),
  ...binary('pow', T.pow, true),
  unary('pow of a number', (x) => x.pow(3).add(x.pow(2)).add(x.pow(0))),
  unary('pow, number on the left', (x) => T.pow(2, x)),
  { name: 'where', fn: (a, b) => T.where(a.gt(0), a.mul(2), b), shapes: [[2, 3], [3]] },
  { name: 'maskedFill', fn: (a) => a.maskedFill(T.tensor([true, false, true]), 5), shapes: [[2, 3]] },
  { name: 'sum of all', fn: (x) => x.square().sum(), shapes: [[2, 3]] },
  { name: 'sum over the first', fn: (x) => x.square().sum(0), shapes: [[3, 4]] },
  { name: 'sum over the last, kept', fn: (x) => x.square().sum(-1, { keepdim: true }), shapes: [[3, 4]] },
  { name: 'sum over two of three', fn: (x) => x.square().sum([0, 2]), shapes: [[2, 3, 4]] },
  { name: 'mean', fn: (x) => x.square().mean(1), shapes: [[2, 3, 2]] },
  { name: 'var', fn: (x) => x.var(-1), shapes: [[2, 5]] },
  { name: 'amax', fn: (x) => x.amax(1), shapes: [[3, 4]] },
  { name: 'amin', fn: (x) => x.amin(0), shapes: [[3, 4]] },
  { name: 'prod', fn: (x) => x.prod(1), shapes: [[2, 3]] },
  { name: 'logsumexp', fn: (x) => x.logsumexp(-1), shapes: [[3, 4]] },
  { name: 'softmax', fn: (x) => x.softmax(-1), shapes: [[3, 4]] },
  { name: 'softmax over the first', fn: (x) => x.softmax(0), shapes: [[3, 4]] },
  { name: 'logSoftmax', fn: (x) => x.logSoftmax(1), shapes: [[2, 3, 2]] },
  {
    name: 'matmul',
    fn: T.matmul,
    shapes: [
      [3, 4],
      [4, 2],
    ],
  },
  {
    name: 'matmul of transposes',
    fn: (a, b) => a.t().matmul(b.t()),
    shapes: [
      [4, 3],
      [2, 4],
    ],
  },
  {
    name: 'matmul, batches',
    fn: T.matmul,
    shapes: [
      [2, 3, 4],
      [2, 4, 2],
    ],
  },
  {
    name: 'matmul, broadcast batches',
    fn: T.matmul,
    shapes: [
      [2, 1, 3, 4],
      [3, 4, 2],
    ],
  },
  { name: 'matmul of a vector and a matrix', fn: T.matmul, shapes: [[4], [4, 2]] },
  { name: 'matmul of a matrix and a vector', fn: T.matmul, shapes: [[3, 4], [4]] },
  { name: 'dot product', fn: T.matmul, shapes: [[4], [4]] },
  { name: 'linear', fn: (x, w, b) => T.linear(x, w, b), shapes: [[2, 3, 4], [5, 4], [5]] },
  { name: 'affine', fn: (x, w, b) => T.affine(x, w, b), shapes: [[3, 4], [4, 5], [5]] },
  { name: 'layerNorm', fn: (x, w, b) => T.layerNorm(x, w, b, 1e-3), shapes: [[3, 4], [4], [4]] },
  { name: 'layerNorm, plain', fn: (x) => T.layerNorm(x), shapes: [[2, 2, 4]] },
  { name: 'rmsNorm', fn: (x, w) => T.rmsNorm(x, w, 1e-3), shapes: [[3, 4], [4]] },
  { name: 'embedding', fn: (w) => T.embedding(ids([0, 2, 2, 1], [2, 2]), w), shapes: [[3, 4]] },
  { name: 'gather', fn: (x) => x.gather(1, ids([0, 2, 1, 1], [2, 2])), shapes: [[2, 3]] },
  { name: 'gather, one a row', fn: (x) => x.gather(-1, ids([2, 0], [2, 1])), shapes: [[2, 3]] },
  { name: 'indexSelect', fn: (x) => x.indexSelect(1, ids([2, 0, 2])), shapes: [[2, 3]] },
  { name: 'scatterAddRows', fn: (x) => T.scatterAddRows(x, ids([1, 0, 1]), 4), shapes: [[3, 2]] },
  {
    name: 'cat',
    fn: (a, b) => T.cat([a, b.mul(2)], 1),
    shapes: [
      [2, 3],
      [2, 2],
    ],
  },
  {
    name: 'setAt_',
    fn: (a, b) => a.mul(2).setAt_([null, 1, [0, 5, 2]], b.square()),
    shapes: [[3, 5], [3]],
  },
  {
    name: 'stack',
    fn: (a, b) => T.stack([a, b], 1),
    shapes: [
      [2, 3],
      [2, 3],
    ],
  },
  { name: 'reshape of a transpose', fn: (x) => x.t().reshape([2, 6]).square(), shapes: [[3, 4]] },
  { name: 'permute', fn: (x) => x.permute([2, 0, 1]).square(), shapes: [[2, 3, 4]] },
  { name: 'expand', fn: (x) => x.expand([4, 2, 3]).square(), shapes: [[2, 1]] },
  { name: 'slice with a step', fn: (x) => x.slice(1, 1, 6, 2).square(), shapes: [[2, 7]] },
  { name: 'at', fn: (x) => x.at(1, null, [0, 2]).square(), shapes: [[2, 3]] },
  { name: 'split', fn: (x) => x.split([1, 2], 1)[1].square(), shapes: [[2, 3]] },
  { name: 'tril', fn: (x) => T.tril(x).square(), shapes: [[3, 3]] },
  { name: 'dropout', fn: (x) => x.dropout(0.4, { generator: new T.Generator(7) }), shapes: [[4, 5]] },
  {
    name: 'attention',
    fn: (q, k, v) => T.attention(q, k, v),
    shapes: [
      [1, 2, 3, 4],
      [1, 2, 3, 4],
      [1, 2, 3, 4],
    ],
    second: false,
  },
  {
    name: 'attention, causal, grouped heads',
    fn: (q, k, v) => T.attention(q, k, v, { isCausal: true }),
    shapes: [
      [2, 4, 3, 2],
      [2, 2, 5, 2],
      [2, 2, 5, 2],
    ],
    second: false,
  },
  {
    name: 'attention, packed',
    fn: (q, k, v) => T.attention(q, k, v, { cuSeqlens: ids([0, 2, 5]), isCausal: true }),
    shapes: [
      [1, 2, 5, 2],
      [1, 1, 5, 2],
      [1, 1, 5, 2],
    ],
    second: false,
  },
  {
    name: 'attention, masked, with dropout',
    fn: (q, k, v) =>
      T.attention(q, k, v, {
        attnMask: T.tensor([true, true, false]).reshape([1, 1, 1, 3]),
        dropoutP: 0.3,
        generator: new T.Generator(3),
      }),
    shapes: [
      [2, 2, 3, 2],
      [2, 2, 3, 2],
      [2, 2, 3, 2],
    ],
    second: false,
  },
  {
    name: 'attentionWithWeights',
    fn: (q, k, v) => T.attentionWithWeights(q, k, v, { isCausal: true }).output,
    shapes: [
      [1, 2, 3, 2],
      [1, 1, 3, 2],
      [1, 1, 3, 2],
    ],
  },
]
