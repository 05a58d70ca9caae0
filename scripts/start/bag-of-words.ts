/** The baseline: naive Bayes on the words of a text, without their order, as spam filters have had it since the 1990s. */

/** Words, and the marks that spam is fond of, in lower case. */
export function words(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+|[!$%#]/gu) ?? []
}

interface ClassCounts {
  texts: number
  words: number
  byWord: Map<string, number>
}

/**
 * Multinomial naive Bayes with Laplace smoothing (McCallum and Nigam 1998): the class for which the product of its share and the
 * shares of the text's words in it is largest. Words that no training text has count for nothing.
 */
export class BagOfWords {
  readonly #classes: readonly ClassCounts[]
  readonly #vocabulary = new Set<string>()

  /** @param labels class numbers from 0 */
  constructor(texts: readonly string[], labels: readonly number[]) {
    const count = Math.max(...labels) + 1
    this.#classes = Array.from({ length: count }, () => ({
      texts: 0,
      words: 0,
      byWord: new Map<string, number>(),
    }))
    for (const [i, text] of texts.entries()) {
      const own = this.#classes[labels[i]]
      own.texts++
      for (const word of words(text)) {
        own.words++
        own.byWord.set(word, (own.byWord.get(word) ?? 0) + 1)
        this.#vocabulary.add(word)
      }
    }
  }

  /** The likeliest class of a text. */
  predict(text: string): number {
    const known = words(text).filter((word) => this.#vocabulary.has(word))
    const scores = this.#classes.map((own) => {
      const total = own.words + this.#vocabulary.size
      return known.reduce(
        (sum, word) => sum + Math.log(((own.byWord.get(word) ?? 0) + 1) / total),
        Math.log(own.texts),
      )
    })
    return scores.indexOf(Math.max(...scores))
  }
}
