import type { Tensor } from '../../core/index.ts'
import type { PreTrainedTokenizer } from '../../tokenization/index.ts'
import { accuracy, macroF1 } from '../metrics.ts'
import type { BatchLabels } from './collate.ts'
import type { Encoded, Evaluation, Task, TrainingText } from './task.ts'
import { collect, TokenizedTexts, tokenizeTexts } from './tokenized.ts'

export interface ClassificationOptions {
  tokenizer: PreTrainedTokenizer
  /** Names of the classes and their numbers, as in the model's config. */
  label2id: Readonly<Record<string, number>>
  maxLength: number
}

/** One class a text. Each text is one term of the loss; metrics are loss, accuracy and macro-F1. */
export class TextClassification implements Task {
  readonly #options: ClassificationOptions

  constructor(options: ClassificationOptions) {
    this.#options = options
  }

  async encode(texts: readonly TrainingText[]): Promise<Encoded> {
    const { tokenizer, maxLength } = this.#options
    const labels = Int32Array.from(texts, (text) => this.#classOf(text))
    const ids = await collect(
      tokenizeTexts(
        tokenizer,
        texts.map(({ text }) => text),
        { maxLength },
      ),
    )
    return { texts: new TokenizedTexts(ids), labels }
  }

  #classOf({ text, label }: TrainingText): number {
    const { label2id } = this.#options
    const classes = Object.keys(label2id).length
    if (typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < classes) return label
    if (typeof label === 'string' && Object.hasOwn(label2id, label)) return label2id[label]
    const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text)
    throw new RangeError(
      `[Trainer] label ${JSON.stringify(label)} of text ${shown} is none of ${Object.keys(label2id).join(', ')}`,
    )
  }

  labels({ labels }: Encoded, indices: readonly number[]): BatchLabels {
    return { of: 'texts', values: Int32Array.from(indices, (i) => labels[i]) }
  }

  targets(_data: Encoded, indices: readonly number[]): number {
    return indices.length
  }

  evaluation({ labels }: Encoded): Evaluation {
    const predictions: number[] = []
    const truth: number[] = []
    let loss = 0
    return {
      async add({ indices, loss: sum, logits }) {
        loss += sum
        predictions.push(...(await bestClasses(logits)))
        for (const i of indices) truth.push(labels[i])
      },
      metrics: () => ({
        loss: loss / truth.length,
        accuracy: accuracy(predictions, truth),
        macroF1: macroF1(predictions, truth),
      }),
    }
  }
}

/** The place of the largest of each row of [B, C]. */
async function bestClasses(logits: Tensor): Promise<number[]> {
  const [rows, classes] = logits.shape
  const values = await logits.data()
  return Array.from({ length: rows }, (_, row) => {
    let best = 0
    for (let c = 1; c < classes; c++) if (values[row * classes + c] > values[row * classes + best]) best = c
    return best
  })
}
