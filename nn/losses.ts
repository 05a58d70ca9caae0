/** Loss functions. Labels of classes are int32. */
import { type Tensor, where } from '../core/index.ts'
import { formatShape, sameShape } from '../core/shape.ts'

export type Reduction = 'mean' | 'sum' | 'none'

export interface LossOptions {
  /** `mean` unless given. */
  reduction?: Reduction
}

function reduce(loss: Tensor, reduction: Reduction = 'mean'): Tensor {
  if (reduction === 'none') return loss
  if (reduction === 'sum') return loss.sum()
  if (reduction === 'mean') return loss.mean()
  throw new RangeError(`[loss] reduction "${reduction}" is not one of mean, sum, none`)
}

function checkSame(op: string, input: Tensor, target: Tensor): void {
  if (!sameShape(input.shape, target.shape))
    throw new RangeError(
      `[${op}] input ${formatShape(input.shape)} and target ${formatShape(target.shape)} differ in shape`,
    )
}

/** (input - target)^2. */
export function mseLoss(input: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  checkSame('mseLoss', input, target)
  return reduce(input.sub(target).square(), options.reduction)
}

/**
 * -(y log s(x) + (1 - y) log(1 - s(x))) with the sigmoid s, computed without overflow. `weight` scales elements,
 * `posWeight` the first term; both broadcast.
 */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: LossOptions & { weight?: Tensor; posWeight?: Tensor } = {},
): Tensor {
  checkSame('binaryCrossEntropyWithLogits', input, target)
  const y = target.float()
  // log(1 + e^-x), which is -log s(x)
  const negativeLog = input.neg().softplus()
  const scaled = options.posWeight ? negativeLog.mul(options.posWeight.sub(1).mul(y).add(1)) : negativeLog
  const loss = y.neg().add(1).mul(input).add(scaled)
  return reduce(options.weight ? loss.mul(options.weight) : loss, options.reduction)
}

export interface CrossEntropyOptions extends LossOptions {
  /** A label that counts as none. Default -100. */
  ignoreIndex?: number
  /** Share of the probability that is spread over all classes. Default 0. */
  labelSmoothing?: number
  /** A factor for each class, float32 [C]. */
  weight?: Tensor
}

/** Labels on the host are checked where the loss is called; others would give NaN or a wrong class later. */
function checkLabels(op: string, labels: Tensor, classes: number, ignoreIndex: number): void {
  if (labels.dtype !== 'int32')
    throw new TypeError(
      `[${op}] labels must be int32, not ${labels.dtype}: pass { dtype: 'int32' } to tensor()`,
    )
  const storage = labels.value.storage
  if (storage?.kind !== 'host') return
  for (const label of storage.data)
    if (label !== ignoreIndex && (label < 0 || label >= classes))
      throw new RangeError(`[${op}] label ${label} is out of range for ${classes} classes`)
}

/** Classes in dim 1 (or the only one) brought to the end: [..., C] rows. */
function classesLast(op: string, x: Tensor, labels: Tensor): Tensor {
  const dim = x.ndim === 1 ? 0 : 1
  if (!sameShape(x.shape.toSpliced(dim, 1), labels.shape))
    throw new RangeError(
      `[${op}] labels ${formatShape(labels.shape)} do not fit input ${formatShape(x.shape)} with its classes in dim ${dim}`,
    )
  const order = x.shape.map((_, d) => d).filter((d) => d !== dim)
  return x.permute([...order, dim]).reshape([-1, x.shape[dim]])
}

/**
 * -log softmax(logits)[label], averaged over the labels that are not `ignoreIndex`. logits: [N, C], [N, C, d...] or [C]; labels
 * int32 of that shape without C. The mean over no labels at all is NaN, as in PyTorch.
 */
export function crossEntropy(logits: Tensor, labels: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { ignoreIndex = -100, labelSmoothing = 0, weight, reduction = 'mean' } = options
  if (labels.dtype === 'float32')
    throw new TypeError('[crossEntropy] takes class numbers as labels, not probabilities')
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new RangeError(`[crossEntropy] labelSmoothing ${labelSmoothing} is not between 0 and 1`)
  const x = classesLast('crossEntropy', logits, labels) // [N, C]
  const classes = x.shape[1]
  checkLabels('crossEntropy', labels, classes, ignoreIndex)
  const flat = labels.reshape([-1])
  const valid = flat.ne(ignoreIndex)
  const safe = where(valid, flat, 0).unsqueeze(1)
  const lse = x.logsumexp(-1)
  const scale = weight?.unsqueeze(0).expand(x.shape).gather(1, safe).squeeze(1)
  const nll = lse.sub(x.gather(1, safe).squeeze(1))
  let loss = scale ? nll.mul(scale) : nll
  if (labelSmoothing > 0) {
    const surprise = lse.unsqueeze(1).sub(x)
    const spread = (weight ? surprise.mul(weight) : surprise).sum(1).mul(labelSmoothing / classes)
    loss = loss.mul(1 - labelSmoothing).add(spread)
  }
  return finish(loss, valid, scale, labels, reduction)
}

/** -input[label] for log probabilities `input` [N, C], [N, C, d...] or [C]. */
export function nllLoss(
  input: Tensor,
  labels: Tensor,
  options: Omit<CrossEntropyOptions, 'labelSmoothing'> = {},
): Tensor {
  const { ignoreIndex = -100, weight, reduction = 'mean' } = options
  const x = classesLast('nllLoss', input, labels)
  checkLabels('nllLoss', labels, x.shape[1], ignoreIndex)
  const flat = labels.reshape([-1])
  const valid = flat.ne(ignoreIndex)
  const safe = where(valid, flat, 0).unsqueeze(1)
  const scale = weight?.unsqueeze(0).expand(x.shape).gather(1, safe).squeeze(1)
  const nll = x.gather(1, safe).squeeze(1).neg()
  return finish(scale ? nll.mul(scale) : nll, valid, scale, labels, reduction)
}

/** Leaves ignored labels out, and divides a mean by the weights of the others. */
function finish(
  loss: Tensor,
  valid: Tensor,
  scale: Tensor | undefined,
  labels: Tensor,
  reduction: Reduction,
): Tensor {
  const kept = where(valid, loss, 0)
  if (reduction === 'none') return kept.reshape(labels.shape)
  if (reduction !== 'mean') return reduce(kept, reduction)
  const count = scale ? where(valid, scale, 0).sum() : valid.float().sum()
  return kept.sum().div(count)
}
