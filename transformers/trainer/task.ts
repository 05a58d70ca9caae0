import type { Tensor } from '../../core/index.ts'
import type { BatchLabels } from './collate.ts'
import type { TokenizedTexts } from './tokenized.ts'

/** A text to learn from. */
export interface TrainingText {
  text: string
  /** For classification: the class's name, or its number. */
  label?: string | number
}

/** A data set as the trainer goes through it. */
export interface Encoded {
  texts: TokenizedTexts
  /** Classes by text; empty for a language model. */
  labels: Int32Array
  /** UTF-8 bytes of all texts, where the task measures by them. */
  bytes?: number
}

/** Sums over a data set, from which metrics are made. */
export interface Evaluation {
  /** Adds what one batch shows; `loss` is the sum over its `targets`. */
  add(shown: { indices: readonly number[]; loss: number; targets: number; logits: Tensor }): Promise<void>
  metrics(): Record<string, number>
}

/** What the trainer does not know about its texts: how they become examples, and what is to be predicted. */
export interface Task {
  encode(texts: readonly TrainingText[]): Promise<Encoded>
  /** What there is to predict in a batch. */
  labels(data: Encoded, indices: readonly number[]): BatchLabels
  /** How many terms the batch's loss has. */
  targets(data: Encoded, indices: readonly number[]): number
  evaluation(data: Encoded): Evaluation
}
