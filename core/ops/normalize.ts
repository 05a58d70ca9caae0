/** Softmax and the norms: hand-written kernels over rows, with gradients in tensor ops or a kernel of their own. */
import type { CallOp, GradContext } from '../op.ts'
import { formatShape, normalizeDim, type Shape } from '../shape.ts'
import { apply, record, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { method } from './define.ts'
import { permute } from './views.ts'

const softmaxOp: CallOp = {
  kind: 'call',
  name: 'softmax',
  call: 'softmax',
  scalarTypes: () => [],
  grad: ({ dy, outputs: [y], attrs }) => {
    if (attrs.log) return [dy.sub(y.exp().mul(dy.sum(-1, { keepdim: true })))]
    return [y.mul(dy.sub(dy.mul(y).sum(-1, { keepdim: true })))]
  },
}

/** The dimension, or options that hold it. */
type Dim = number | { dim: number }

function overLast(x: Tensor, dim: Dim, log: boolean): Tensor {
  const name = log ? 'logSoftmax' : 'softmax'
  const d = normalizeDim(typeof dim === 'number' ? dim : dim.dim, x.ndim, name)
  if (x.ndim === 0) return overLast(x.reshape([1]), 0, log).reshape([])
  const order = x.shape.map((_, i) => i)
  ;[order[d], order[x.ndim - 1]] = [order[x.ndim - 1], order[d]]
  const moved = permute(x, order)
  const rows = asRows(moved)
  return permute(apply(softmaxOp, [rows], rows.shape, 'float32', { log }).reshape(moved.shape), order)
}

/** exp(x) / sum(exp(x)) over `dim`. A row of only -inf gives NaN, as in PyTorch. */
export const softmax = (x: Tensor, dim: Dim): Tensor => overLast(x, dim, false)
/** log(softmax(x)), computed without cancellation. */
export const logSoftmax = (x: Tensor, dim: Dim): Tensor => overLast(x, dim, true)

function checkWidth(op: string, x: Shape, weight: Tensor | undefined, name: string): void {
  if (weight && (weight.ndim !== 1 || weight.shape[0] !== x.at(-1)))
    throw new RangeError(
      `[${op}] ${name} ${formatShape(weight.shape)} does not fit the last dimension of ${formatShape(x)}`,
    )
}

const present = (...tensors: (Tensor | undefined)[]): Tensor[] => tensors.filter((t) => t !== undefined)

const layerNormBackwardOp: CallOp = {
  kind: 'call',
  name: 'layerNormBackward',
  call: 'layerNormBackward',
  scalarTypes: () => [],
}
const rmsNormBackwardOp: CallOp = {
  kind: 'call',
  name: 'rmsNormBackward',
  call: 'rmsNormBackward',
  scalarTypes: () => [],
}

/** x [..., C] as [rows, C]: what the kernels take. */
const asRows = (x: Tensor): Tensor => {
  const width = x.shape.at(-1) ?? 1
  return cast(x, 'float32').reshape([width === 0 ? 0 : x.numel / width, width])
}

/** Statistics [rows] as a column, so that they broadcast along the row. */
const column = (stat: Tensor): Tensor => stat.reshape([stat.shape[0], 1])

/** dx of a norm from the normalised input: rstd (g - mean(g) - xhat mean(g xhat)), the middle term for layer norm only. */
function normInputGrad(g: Tensor, xhat: Tensor, rstd: Tensor, centred: boolean): Tensor {
  const along = g.mul(xhat).mean(-1, { keepdim: true })
  const spread = centred ? g.sub(g.mean(-1, { keepdim: true })) : g
  return spread.sub(xhat.mul(along)).mul(rstd)
}

const layerNormOp: CallOp = {
  kind: 'call',
  name: 'layerNorm',
  call: 'layerNorm',
  scalarTypes: () => ['f32'],
  grad: (c: GradContext) => {
    const { dy, inputs, outputs, attrs, needs, createGraph } = c
    const x = inputs[0]
    const weight = attrs.weight ? inputs[1] : undefined
    // statistics are outputs without a gradient of their own: differentiate again through ops instead
    const stats = createGraph
      ? layerStats(x, c.scalars[0])
      : { mean: column(outputs[1]), rstd: column(outputs[2]) }
    const xhat = x.sub(stats.mean).mul(stats.rstd)
    const dx = () =>
      createGraph
        ? normInputGrad(weight ? dy.mul(weight) : dy, xhat, stats.rstd, true)
        : apply(layerNormBackwardOp, present(dy, x, outputs[1], outputs[2], weight), x.shape, 'float32', {
            weight: Boolean(weight),
          })
    return [
      needs[0] ? dx() : null,
      ...(weight ? [needs[1] ? dy.mul(xhat).sum(0) : null] : []),
      ...(attrs.bias ? [needs.at(-1) ? dy.sum(0) : null] : []),
    ]
  },
}

function layerStats(x: Tensor, eps: number) {
  const mean = x.mean(-1, { keepdim: true })
  return { mean, rstd: x.var(-1, { keepdim: true, correction: 0 }).add(eps).rsqrt() }
}

/**
 * (x - mean) / sqrt(var + eps) * weight + bias over the last dimension, with the biased variance (Ba et al. 2016).
 * x: [..., C], weight and bias: [C].
 */
export function layerNorm(x: Tensor, weight?: Tensor, bias?: Tensor, eps = 1e-5): Tensor {
  checkWidth('layerNorm', x.shape, weight, 'weight')
  checkWidth('layerNorm', x.shape, bias, 'bias')
  const rows = asRows(x)
  const inputs = present(rows, weight, bias).map((t) => t.value)
  const attrs = { weight: weight !== undefined, bias: bias !== undefined }
  const stat: Shape = [rows.shape[0]]
  const outputs = [rows.shape, stat, stat].map((shape) => ({ shape, dtype: 'float32' as const }))
  return new Tensor(record(layerNormOp, inputs, attrs, [eps], outputs).outputs[0]).reshape(x.shape)
}

const rmsNormOp: CallOp = {
  kind: 'call',
  name: 'rmsNorm',
  call: 'rmsNorm',
  scalarTypes: () => ['f32'],
  grad: ({ dy, inputs, outputs, attrs, needs, createGraph, scalars }) => {
    const x = inputs[0]
    const weight = attrs.weight ? inputs[1] : undefined
    const rstd = createGraph
      ? x.square().mean(-1, { keepdim: true }).add(scalars[0]).rsqrt()
      : column(outputs[1])
    const xhat = x.mul(rstd)
    const dx = () =>
      createGraph
        ? normInputGrad(weight ? dy.mul(weight) : dy, xhat, rstd, false)
        : apply(rmsNormBackwardOp, present(dy, x, outputs[1], weight), x.shape, 'float32', {
            weight: Boolean(weight),
          })
    return [needs[0] ? dx() : null, ...(weight ? [needs[1] ? dy.mul(xhat).sum(0) : null] : [])]
  },
}

/** x / sqrt(mean(x^2) + eps) * weight over the last dimension (Zhang and Sennrich 2019). x: [..., C], weight: [C]. */
export function rmsNorm(x: Tensor, weight?: Tensor, eps = 1e-6): Tensor {
  checkWidth('rmsNorm', x.shape, weight, 'weight')
  const rows = asRows(x)
  const inputs = present(rows, weight).map((t) => t.value)
  const outputs = [rows.shape, [rows.shape[0]]].map((shape) => ({ shape, dtype: 'float32' as const }))
  const node = record(rmsNormOp, inputs, { weight: weight !== undefined }, [eps], outputs)
  return new Tensor(node.outputs[0]).reshape(x.shape)
}

declare module '../tensor.ts' {
  interface Tensor {
    softmax(dim: Dim): Tensor
    logSoftmax(dim: Dim): Tensor
  }
}
method('softmax', softmax)
method('logSoftmax', logSoftmax)
