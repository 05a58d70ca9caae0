/** What a tokenizer is apart from the engine: enough to put it into another instance, as it was set. */
import { type EncodeInput, unitsOf } from './encode.ts'
import { check, type Exports, failure, withBytes, withText } from './engine.ts'
import type { AddedToken, JsonSettings } from './settings.ts'

/** What was set since the tokenizer was made from its JSON; replayed when it is put into a new engine instance. */
export interface Changes {
  truncation?: object | null
  padding?: object | null
  encode_special_tokens?: boolean
  added_tokens?: AddedToken[]
}

/**
 * UTF-16 units that are encoded without details before the faster tokenizer for that is made, which takes about as long as
 * this many do without it.
 */
const UNITS_WORTH_PREPARING = 2 ** 15

/** All that is needed to make the tokenizer again. */
export class State {
  #json: Uint8Array
  #changes: Changes = {}
  #unitsWithoutDetails = 0
  #ids: 'absent' | 'prepared' | 'unavailable' = 'absent'
  /** What the engine said last; undefined after a change. */
  settings: JsonSettings | undefined

  constructor(json: string) {
    this.#json = new TextEncoder().encode(json)
  }

  reset(json: string): void {
    this.#json = new TextEncoder().encode(json)
    const { encode_special_tokens } = this.#changes
    // The only setting that the JSON does not hold.
    this.#changes = encode_special_tokens === undefined ? {} : { encode_special_tokens }
    this.settings = undefined
    this.#ids = 'absent'
  }

  record(changes: Changes): void {
    const added_tokens = [...(this.#changes.added_tokens ?? []), ...(changes.added_tokens ?? [])]
    this.#changes = { ...this.#changes, ...changes, added_tokens }
    this.settings = undefined
    if (!changes.added_tokens || this.#ids !== 'prepared') return
    // The vocabulary changed. Not prepared again at once: more tokens may follow.
    this.#ids = 'absent'
    this.#unitsWithoutDetails = 0
  }

  get idsState(): string {
    return this.#ids
  }
  get encodeSpecialTokens(): boolean {
    return this.#changes.encode_special_tokens ?? false
  }

  /** Whether the engine has the faster tokenizer for ids without details. */
  get idsPrepared(): boolean {
    return this.#ids === 'prepared'
  }

  isWorthPreparing(inputs: readonly EncodeInput[]): boolean {
    if (this.#ids !== 'absent') return false
    for (const input of inputs) this.#unitsWithoutDetails += unitsOf(input)
    return this.#unitsWithoutDetails >= UNITS_WORTH_PREPARING
  }

  prepareIds(x: Exports, handle: number): void {
    // Before the call: if it traps, it must not be made again.
    this.#ids = 'unavailable'
    if (x.tokenizer_prepare_ids(handle) === 0) this.#ids = 'prepared'
  }

  giveIdsUp(): void {
    this.#ids = 'unavailable'
  }

  create(x: Exports): number {
    const handle = withBytes(x, this.#json, (pointer, length) => x.tokenizer_new(pointer, length))
    if (handle === 0) throw failure(x, 'Tokenizer')
    configure(x, handle, this.#changes)
    if (this.#ids === 'prepared') this.prepareIds(x, handle)
    return handle
  }
}

export function configure(x: Exports, handle: number, changes: Changes): number {
  if (Object.keys(changes).length === 0) return 0
  const status = withText(x, JSON.stringify(changes), (pointer, length) =>
    x.tokenizer_configure(handle, pointer, length),
  )
  return check(x, 'tokenizer', status)
}
