/** What models return. Fields that were not asked for are missing. */
import type { Tensor } from '../core/index.ts'
import type { KVCache } from './cache.ts'

export interface StatesOutput {
  /** With `outputHiddenStates`: after the embeddings and after every layer, [B, T, H]. */
  hiddenStates?: Tensor[]
  /** With `outputAttentions`: probabilities of every layer, [B, heads, T, keys]. */
  attentions?: Tensor[]
}

export interface BaseModelOutput extends StatesOutput {
  /** [B, T, H]. */
  lastHiddenState: Tensor
  pastKeyValues?: KVCache
}

export interface PoolingOutput extends StatesOutput {
  lastHiddenState: Tensor
  /** [B, H], or [S, H] for packed sequences. */
  poolerOutput?: Tensor
}

/** Of heads that give classes: of texts [B, C] ([S, C] packed), of tokens [B, T, C]. */
export interface LogitsOutput extends StatesOutput {
  loss?: Tensor
  logits: Tensor
}

export interface CausalOutput extends LogitsOutput {
  pastKeyValues?: KVCache
}

export interface SpanOutput extends StatesOutput {
  loss?: Tensor
  /** [B, T]. */
  startLogits: Tensor
  endLogits: Tensor
}

/** Collects hidden states and attentions while the layers run. */
export class StateCollector {
  readonly withAttentions: boolean
  readonly #hidden: Tensor[] | undefined
  readonly #attentions: Tensor[] | undefined

  constructor(wanted: { outputHiddenStates?: boolean | null; outputAttentions?: boolean | null }) {
    this.#hidden = wanted.outputHiddenStates ? [] : undefined
    this.#attentions = wanted.outputAttentions ? [] : undefined
    this.withAttentions = this.#attentions !== undefined
  }

  hidden(x: Tensor): void {
    this.#hidden?.push(x)
  }

  attention(weights: Tensor | null): void {
    if (weights) this.#attentions?.push(weights)
  }

  get output(): StatesOutput {
    return {
      ...(this.#hidden && { hiddenStates: this.#hidden }),
      ...(this.#attentions && { attentions: this.#attentions }),
    }
  }
}

/** The hidden states and attentions of a base model's output, which heads pass on. */
export const statesOf = ({ hiddenStates, attentions }: StatesOutput): StatesOutput => ({
  ...(hiddenStates && { hiddenStates }),
  ...(attentions && { attentions }),
})
