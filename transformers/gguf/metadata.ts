import { GgufError, type GgufValue } from '../../hub/index.ts'

/** Typed look-ups in the metadata of a GGUF file. */
export class Metadata {
  readonly #name: string
  readonly #values: ReadonlyMap<string, GgufValue>

  constructor(name: string, values: ReadonlyMap<string, GgufValue>) {
    this.#name = name
    this.#values = values
  }

  has(key: string): boolean {
    return this.#values.has(key)
  }

  /** @throws GgufError if it is there and no number, or with no `fallback` if it is not there */
  number(key: string, fallback?: number): number {
    const value = this.#values.get(key) ?? fallback
    if (typeof value === 'bigint') return Number(value)
    return typeof value === 'number' ? value : this.#fail(key, 'number')
  }

  /** A size: an integer over 0. */
  count(key: string, fallback?: number): number {
    const value = this.number(key, fallback)
    if (!Number.isInteger(value) || value < 1 || value > 2 ** 31)
      throw this.error(`"${key}" is ${value}, which is no size`)
    return value
  }

  string(key: string, fallback?: string): string {
    const value = this.#values.get(key) ?? fallback
    return typeof value === 'string' ? value : this.#fail(key, 'text')
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#values.get(key) ?? fallback
    return typeof value === 'boolean' ? value : this.#fail(key, 'boolean')
  }

  strings(key: string): string[] {
    return this.#list(key, 'string') as string[]
  }

  numbers(key: string): number[] {
    return this.#list(key, 'number') as number[]
  }

  /** An integer where there is one. */
  optionalNumber(key: string): number | null {
    return this.has(key) ? this.number(key) : null
  }

  #list(key: string, type: 'string' | 'number'): GgufValue[] {
    const value = this.#values.get(key)
    if (Array.isArray(value) && value.every((item) => typeof item === type)) return value
    return this.#fail(key, `list of ${type}s`)
  }

  #fail(key: string, type: string): never {
    throw this.error(this.has(key) ? `"${key}" is no ${type}` : `has no "${key}"`)
  }

  error(reason: string): GgufError {
    return new GgufError(`[gguf] ${this.#name}: ${reason}`)
  }
}
