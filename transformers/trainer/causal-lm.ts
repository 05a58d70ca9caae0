import { chunkIntoBlocks, DataError } from '../../data/index.ts'
import type { PreTrainedTokenizer } from '../../tokenization/index.ts'
import { bitsPerByte, perplexity } from '../metrics.ts'
import type { BatchLabels } from './collate.ts'
import type { Encoded, Evaluation, Task, TrainingText } from './task.ts'
import { collect, TokenizedTexts, tokenizeTexts } from './tokenized.ts'

export interface CausalLmOptions {
  tokenizer: PreTrainedTokenizer
  /** Tokens of a block. */
  maxLength: number
}

/**
 * Predicting the next token. The texts become one stream, with the end-of-text token behind each, cut into blocks of one
 * length; what is left over at the end is a shorter block. A block of n tokens is n - 1 terms of the loss. Metrics are
 * loss (nats a token), perplexity and bits per byte.
 */
export class CausalLm implements Task {
  readonly #options: CausalLmOptions

  constructor(options: CausalLmOptions) {
    this.#options = options
  }

  async encode(texts: readonly TrainingText[]): Promise<Encoded> {
    const { tokenizer, maxLength } = this.#options
    const strings = texts.map(({ text }) => text)
    const blocks = await collect(
      chunkIntoBlocks(tokenizeTexts(tokenizer, strings, { addSpecialTokens: false }), {
        blockSize: maxLength,
        separatorId: tokenizer.eosTokenId ?? undefined,
        remainder: 'keep',
      }),
    )
    if (blocks.length === 0) throw new DataError('[Trainer] the texts have no two tokens to learn from')
    const bytes = strings.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
    return { texts: new TokenizedTexts(blocks), labels: new Int32Array(0), bytes }
  }

  /** The ids themselves: the model shifts them by one. */
  labels({ texts }: Encoded, indices: readonly number[]): BatchLabels {
    return { of: 'tokens', values: indices.map((i) => texts.at(i)) }
  }

  targets({ texts }: Encoded, indices: readonly number[]): number {
    return indices.reduce((sum, i) => sum + texts.at(i).length - 1, 0)
  }

  evaluation({ texts, bytes = 0 }: Encoded): Evaluation {
    let loss = 0
    let targets = 0
    return {
      async add(shown) {
        loss += shown.loss
        targets += shown.targets
      },
      metrics: () => ({
        loss: loss / targets,
        perplexity: perplexity(loss / targets),
        // the first token of a block is given, not predicted: bytes count in the same share as tokens
        bitsPerByte: bitsPerByte(loss, (bytes * targets) / texts.ids.length),
      }),
    }
  }
}
