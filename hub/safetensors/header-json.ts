import { quote, SafetensorsError } from '../errors.ts'

/** An entry of the header as it is written, dtype and sizes not yet checked. */
export interface RawEntry {
  dtype: string
  shape: number[]
  offsets: [begin: number, end: number]
}

export interface RawHeader {
  metadata: Map<string, string> | null
  entries: Map<string, RawEntry>
}

const MAX_DEPTH = 128

/**
 * Reads the JSON of a safetensors header.
 *
 * `JSON.parse` would accept what the format's own library refuses: `4.0` where an integer belongs, a key given
 * twice, half a surrogate pair, and it would build whatever tree a malicious header describes. This parser knows the
 * one shape that a header may have, so it takes memory only for real entries. As in the format's library, a tensor
 * named twice counts with its last entry, an unknown field of an entry is skipped, and `"__metadata__": null` is none.
 *
 * @throws SafetensorsError that names the column of the header, from 1, where it stops being a header.
 */
export function parseHeaderJson(text: string): RawHeader {
  return new HeaderParser(text).header()
}

class HeaderParser {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  header(): RawHeader {
    let metadata: Map<string, string> | null | undefined
    const entries = new Map<string, RawEntry>()
    this.#object('the header', (key) => {
      if (key !== '__metadata__') entries.set(key, this.#entry(key))
      else if (metadata !== undefined) this.#fail('"__metadata__" is given twice')
      else metadata = this.#metadata()
    })
    this.#space()
    if (this.#at < this.#text.length) this.#fail('text after the end of the header')
    return { metadata: metadata ?? null, entries }
  }

  #metadata(): Map<string, string> | null {
    if (this.#literal('null')) return null
    const metadata = new Map<string, string>()
    this.#object('"__metadata__"', (key) => metadata.set(key, this.#string(`metadata ${quote(key)}`)))
    return metadata
  }

  #entry(name: string): RawEntry {
    const fields: Partial<{ dtype: string; shape: number[]; data_offsets: number[] }> = {}
    const once = (field: keyof typeof fields) => {
      if (fields[field] !== undefined) this.#fail(`tensor ${quote(name)} has ${field} twice`)
    }
    this.#object(`tensor ${quote(name)}`, (field) => {
      if (field === 'dtype') {
        once(field)
        fields.dtype = this.#string(`dtype of tensor ${quote(name)}`)
      } else if (field === 'shape' || field === 'data_offsets') {
        once(field)
        fields[field] = this.#integers(`${field} of tensor ${quote(name)}`)
      } else this.#skip(0)
    })
    const { dtype, shape, data_offsets } = fields
    if (dtype === undefined) this.#fail(`tensor ${quote(name)} has no dtype`)
    if (shape === undefined) this.#fail(`tensor ${quote(name)} has no shape`)
    if (data_offsets === undefined) this.#fail(`tensor ${quote(name)} has no data_offsets`)
    if (data_offsets.length !== 2)
      this.#fail(`data_offsets of tensor ${quote(name)} needs 2 numbers, has ${data_offsets.length}`)
    return { dtype, shape, offsets: [data_offsets[0], data_offsets[1]] }
  }

  #object(what: string, member: (key: string) => void): void {
    this.#open('{', `${what} must be an object`)
    if (this.#take('}')) return
    do {
      const key = this.#string(`a key of ${what}`)
      if (!this.#take(':')) this.#fail(`expected ":" after ${quote(key)}`)
      member(key)
    } while (this.#take(','))
    if (!this.#take('}')) this.#fail(`expected "," or "}" in ${what}`)
  }

  #integers(what: string): number[] {
    this.#open('[', `${what} must be an array`)
    const values: number[] = []
    if (this.#take(']')) return values
    do {
      this.#space()
      const source = this.#number()
      if (source === undefined || !/^\d+$/.test(source)) this.#fail(`${what} must hold integers from 0`)
      const value = Number(source)
      if (!Number.isSafeInteger(value)) this.#fail(`${what} holds ${quote(source)}, which is over 2^53`)
      values.push(value)
    } while (this.#take(','))
    if (!this.#take(']')) this.#fail(`expected "," or "]" in ${what}`)
    return values
  }

  #number(): string | undefined {
    const pattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
    pattern.lastIndex = this.#at
    const source = pattern.exec(this.#text)?.[0]
    if (source !== undefined) this.#at += source.length
    return source
  }

  #string(what: string): string {
    this.#open('"', `${what} must be a string`)
    const begin = this.#at - 1
    for (; this.#text[this.#at] !== '"'; this.#at++) {
      if (this.#at >= this.#text.length) this.#fail('a string has no end')
      if (this.#text[this.#at] === '\\') this.#at++
    }
    this.#at++
    let value: string
    try {
      value = JSON.parse(this.#text.slice(begin, this.#at)) as string // escapes and control characters
    } catch {
      this.#at = begin
      this.#fail(`${what} is not a valid string`)
    }
    if (!value.isWellFormed()) this.#fail(`${what} holds half of a surrogate pair`)
    return value
  }

  /** Passes over a value of any kind; only extra fields of an entry may hold one. */
  #skip(depth: number): void {
    if (depth > MAX_DEPTH) this.#fail(`nested more than ${MAX_DEPTH} deep`)
    this.#space()
    const first = this.#text[this.#at]
    if (first === '"') this.#string('a field')
    else if (first === '{') this.#object('a field', () => this.#skip(depth + 1))
    else if (first === '[') {
      this.#at++
      if (this.#take(']')) return
      do this.#skip(depth + 1)
      while (this.#take(','))
      if (!this.#take(']')) this.#fail('expected "," or "]"')
    } else if (!this.#literal('null') && !this.#literal('true') && !this.#literal('false')) {
      if (this.#number() === undefined) this.#fail('expected a value')
    }
  }

  #literal(word: string): boolean {
    this.#space()
    if (!this.#text.startsWith(word, this.#at)) return false
    this.#at += word.length
    return true
  }

  #take(char: string): boolean {
    this.#space()
    if (this.#text[this.#at] !== char) return false
    this.#at++
    return true
  }

  #open(char: string, otherwise: string): void {
    if (!this.#take(char)) this.#fail(this.#at >= this.#text.length ? 'the header ends too early' : otherwise)
  }

  #space(): void {
    while (' \n\r\t'.includes(this.#text[this.#at] || '-')) this.#at++
  }

  #fail(reason: string): never {
    throw new SafetensorsError(`${reason} (column ${this.#at + 1} of the header)`)
  }
}
