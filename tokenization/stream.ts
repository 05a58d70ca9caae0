/**
 * Text from token ids as they come, for showing while a model still generates.
 *
 * A token may hold a part of a character only, and how a token reads may depend on the one before it (the space in
 * front of a word). So a window of the last ids is decoded, and text is given out when it is longer than what the
 * window gave before and does not end in U+FFFD, which stands for an incomplete character. The window is that of
 * `DecodeStream` in the library `tokenizers`.
 */
export class TextStream {
  readonly #decode: (ids: number[]) => string
  #ids: number[] = []
  /** Ids of the window that `#shown` is the text of. */
  #shownCount = 0
  #shown = ''

  /** `decode` gives the text of a list of ids. */
  constructor(decode: (ids: number[]) => string) {
    this.#decode = decode
  }

  /** The text that can be shown now that these ids are known, often the empty string. */
  push(ids: number | readonly number[]): string {
    let text = ''
    for (const id of typeof ids === 'number' ? [ids] : ids) text += this.#push(id)
    return text
  }

  /** The text that is still held back: an incomplete character, as U+FFFD. The stream can be used for a new text. */
  flush(): string {
    const rest = this.#decode(this.#ids).slice(this.#shown.length)
    this.#ids = []
    this.#shownCount = 0
    this.#shown = ''
    return rest
  }

  #push(id: number): string {
    this.#ids.push(id)
    const text = this.#decode(this.#ids)
    if (text.length <= this.#shown.length || text.endsWith('\ufffd')) return ''
    const fresh = text.slice(this.#shown.length)
    // The next window begins with the ids that were shown last: they are what the next one may depend on.
    this.#ids = this.#ids.slice(this.#shownCount)
    this.#shownCount = this.#ids.length
    this.#shown = this.#decode(this.#ids)
    return fresh
  }
}
