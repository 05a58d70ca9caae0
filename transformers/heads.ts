/** Losses of the heads that all families share, with transformers' rules. */
import { cat, full, Tensor, tensor } from '../core/index.ts'
import { formatShape } from '../core/shape.ts'
import { functional as F } from '../nn/index.ts'
import type { PretrainedConfig } from './config.ts'
import { asFloat, asInt, hostValues, type LabelInputs, type ModelInputs, type TensorLike } from './inputs.ts'
import { boundariesOf } from './layout.ts'

const IGNORE = -100

/** Mean over labels, or the sum divided by the number given. logits [N, C], labels [N]. */
export function classLoss(logits: Tensor, labels: Tensor, numItemsInBatch?: number | null): Tensor {
  if (numItemsInBatch === undefined || numItemsInBatch === null) return F.crossEntropy(logits, labels)
  return F.crossEntropy(logits, labels, { reduction: 'sum' }).div(numItemsInBatch)
}

/** Labels of every token: logits [B, T, C], labels [B, T] with -100 for none. */
export function tokenLoss(logits: Tensor, inputs: LabelInputs): Tensor | undefined {
  if (!inputs.labels) return undefined
  const labels = asInt('labels', inputs.labels)
  const rows = logits.reshape([-1, logits.shape.at(-1)!])
  return classLoss(rows, labels.reshape([-1]), inputs.numItemsInBatch)
}

/** Every token's label becomes that of the token before; the last of each sequence has none. */
function shiftLabels(labels: Tensor, boundaries: Int32Array | null): Tensor {
  const [b, t] = labels.shape
  const isEnd = new Uint8Array(t)
  for (const end of boundaries ? boundaries.subarray(1) : [t]) isEnd[end - 1] = 1
  const values = hostValues(labels)
  if (values) {
    const out = new Int32Array(b * t)
    for (let i = 0; i < b * t; i++) out[i] = isEnd[i % t] ? IGNORE : values[i + 1]
    return tensor(out, [b, t])
  }
  const shifted = cat([labels.narrow(1, 1, t - 1), full([b, 1], IGNORE, { dtype: 'int32' })], 1)
  return boundaries ? shifted.maskedFill(tensor(isEnd, [1, t]), IGNORE) : shifted
}

/** Each token predicts the next one of its sequence: logits [B, T, V], labels [B, T] (usually the ids). */
export function causalLoss(
  logits: Tensor,
  inputs: LabelInputs & Pick<ModelInputs, 'cuSeqlens'>,
): Tensor | undefined {
  if (!inputs.labels) return undefined
  const labels = asInt('labels', inputs.labels)
  const [b, t] = logits.shape
  if (labels.ndim !== 2 || labels.shape[0] !== b || labels.shape[1] !== t)
    throw new RangeError(`[labels] have shape ${formatShape(labels.shape)}, not [${b},${t}]`)
  return tokenLoss(logits, { ...inputs, labels: shiftLabels(labels, boundariesOf(inputs.cuSeqlens, t)) })
}

const isWhole = (labels: TensorLike): boolean => {
  if (labels instanceof Tensor) return labels.dtype !== 'float32'
  if (ArrayBuffer.isView(labels)) return !(labels instanceof Float32Array)
  const values = (Array.isArray(labels) ? labels.flat(Number.POSITIVE_INFINITY) : [labels]) as number[]
  return !Array.isArray(Array.isArray(labels) ? labels[0] : 0) && values.every((x) => Number.isInteger(x))
}

/**
 * Loss of a text classifier: logits [N, C]. As in transformers, `problem_type` decides; where it is not set, one label is a
 * regression, whole labels [N] are classes, and float labels [N, C] are one yes or no for each class.
 */
export function sequenceLoss(
  config: PretrainedConfig,
  logits: Tensor,
  inputs: LabelInputs,
): Tensor | undefined {
  const { labels } = inputs
  if (labels === undefined || labels === null) return undefined
  config.problem_type ??=
    config.num_labels === 1
      ? 'regression'
      : isWhole(labels)
        ? 'single_label_classification'
        : 'multi_label_classification'
  if (config.problem_type === 'single_label_classification')
    return classLoss(logits, asInt('labels', labels).reshape([-1]), inputs.numItemsInBatch)
  const target = asFloat(labels).reshape(logits.shape)
  const loss = config.problem_type === 'regression' ? F.mseLoss : F.binaryCrossEntropyWithLogits
  if (inputs.numItemsInBatch === undefined || inputs.numItemsInBatch === null) return loss(logits, target)
  return loss(logits, target, { reduction: 'sum' }).div(inputs.numItemsInBatch * logits.shape[1])
}

export interface SpanInputs {
  /** Where each answer begins and ends, int32 [B]; what lies outside the row is ignored. */
  startPositions?: TensorLike | null
  endPositions?: TensorLike | null
}

/** Logits [B, T, 2] of an extractive question answering head, and the mean of the losses of both ends. */
export function spanOutput(
  logits: Tensor,
  inputs: SpanInputs,
): { startLogits: Tensor; endLogits: Tensor; loss: Tensor | undefined } {
  const tokens = logits.shape[1]
  const [startLogits, endLogits] = [logits.select(2, 0), logits.select(2, 1)]
  if (!inputs.startPositions || !inputs.endPositions) return { startLogits, endLogits, loss: undefined }
  const positions = (name: string, x: TensorLike) => asInt(name, x).reshape([-1]).clamp(0, tokens)
  const start = positions('startPositions', inputs.startPositions)
  const end = positions('endPositions', inputs.endPositions)
  const options = { ignoreIndex: tokens }
  const loss = F.crossEntropy(startLogits, start, options)
    .add(F.crossEntropy(endLogits, end, options))
    .div(2)
  return { startLogits, endLogits, loss }
}
