/** The baseline: logistic regression on the words of a text, without their order. */

/** Words, and the marks that spam is fond of, in lower case. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+|[!$%#]/gu) ?? []
}

/** Weights of the words that a text has: 1 + ln(count) times the word's rarity, at length 1. */
type Features = Map<number, number>

/** Passes over the training texts; enough for the weights to stand still. */
const EPOCHS = 60
const LEARNING_RATE = 2
/** Shrinks the weights a little at each step (L2). */
const DECAY = 1e-5
/** Words of fewer texts say nothing about others. */
const LEAST_TEXTS = 2

/**
 * Tells two classes apart by tf-idf features (Salton and Buckley 1988) and logistic regression, trained by stochastic gradient
 * descent in a fixed order.
 */
export class BagOfWords {
  readonly #index = new Map<string, number>()
  readonly #rarity: Float64Array
  readonly #weights: Float64Array
  #bias = 0

  /** @param labels 0 or 1 */
  constructor(texts: readonly string[], labels: ArrayLike<number>) {
    const counts = new Map<string, number>()
    for (const text of texts)
      for (const word of new Set(words(text))) counts.set(word, (counts.get(word) ?? 0) + 1)
    const kept = [...counts].filter(([, count]) => count >= LEAST_TEXTS)
    for (const [i, [word]] of kept.entries()) this.#index.set(word, i)
    this.#rarity = Float64Array.from(kept, ([, count]) => 1 + Math.log(texts.length / count))
    this.#weights = new Float64Array(kept.length)
    this.#train(
      texts.map((text) => this.#features(text)),
      labels,
    )
  }

  #features(text: string): Features {
    const features: Features = new Map()
    for (const word of words(text)) {
      const i = this.#index.get(word)
      if (i !== undefined) features.set(i, (features.get(i) ?? 0) + 1)
    }
    let squares = 0
    for (const [i, count] of features) {
      const value = (1 + Math.log(count)) * this.#rarity[i]
      features.set(i, value)
      squares += value * value
    }
    const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0
    for (const [i, value] of features) features.set(i, value * scale)
    return features
  }

  #train(texts: readonly Features[], labels: ArrayLike<number>): void {
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      const rate = LEARNING_RATE / (1 + epoch / 10)
      for (let step = 0; step < texts.length; step++) {
        // a stride without a common factor goes through all texts in a mixed order
        const n = (step * 7919 + epoch * 104729) % texts.length
        const error = labels[n] - 1 / (1 + Math.exp(-this.#score(texts[n])))
        for (const [i, value] of texts[n])
          this.#weights[i] += rate * (error * value - DECAY * this.#weights[i])
        this.#bias += 0.1 * rate * error
      }
    }
  }

  #score(features: Features): number {
    let score = this.#bias
    for (const [i, value] of features) score += this.#weights[i] * value
    return score
  }

  /** The likelier class of a text, 0 or 1. */
  predict(text: string): number {
    return this.#score(this.#features(text)) > 0 ? 1 : 0
  }
}
