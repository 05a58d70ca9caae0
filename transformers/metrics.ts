/** Measures of predictions. */

/** Share of predictions that are right. NaN without any. */
export function accuracy(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  checkLengths('accuracy', predictions, labels)
  let right = 0
  for (let i = 0; i < labels.length; i++) if (predictions[i] === labels[i]) right++
  return right / labels.length
}

/**
 * The mean of every class's F1, the harmonic mean of its precision and recall; a class that is neither predicted nor
 * there is left out, as in scikit-learn's `f1_score(average='macro')` without `labels`.
 */
export function macroF1(predictions: ArrayLike<number>, labels: ArrayLike<number>): number {
  checkLengths('macroF1', predictions, labels)
  // per class: right predictions, and how often it was predicted or there, both together
  const right = new Map<number, number>()
  const seen = new Map<number, number>()
  const count = (map: Map<number, number>, label: number) => map.set(label, (map.get(label) ?? 0) + 1)
  for (let i = 0; i < labels.length; i++) {
    if (predictions[i] === labels[i]) count(right, labels[i])
    count(seen, labels[i])
    count(seen, predictions[i])
  }
  let sum = 0
  for (const [label, total] of seen) sum += (2 * (right.get(label) ?? 0)) / total
  return sum / seen.size
}

/** e to the mean loss in nats: among how many tokens the model hesitates. */
export function perplexity(meanLoss: number): number {
  return Math.exp(meanLoss)
}

/** What a model needs for a byte of text: comparable between tokenizers. `loss` is the sum in nats over all tokens. */
export function bitsPerByte(loss: number, bytes: number): number {
  return loss / Math.LN2 / bytes
}

function checkLengths(name: string, predictions: ArrayLike<number>, labels: ArrayLike<number>): void {
  if (predictions.length !== labels.length)
    throw new RangeError(`[${name}] ${predictions.length} predictions for ${labels.length} labels`)
}
