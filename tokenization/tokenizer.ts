import {
  checkInputs,
  type EncodeInput,
  type EncodeRequest,
  encodeInEngine,
  portions,
  type Sequence,
} from './encode.ts'
import type { Encoding } from './encoding.ts'
import {
  check,
  type Engine,
  type Exports,
  failure,
  loadEngine,
  resultJson,
  resultText,
  withBytes,
  withText,
} from './engine.ts'
import { Resident } from './resident.ts'
import {
  type AddedToken,
  count,
  type JsonSettings,
  type Padding,
  paddingFromJson,
  paddingToJson,
  type Truncation,
  truncationFromJson,
  truncationToJson,
} from './settings.ts'
import { type TrainerOptions, trainInEngine } from './train.ts'

export interface EncodeOptions {
  /** The second text of a pair. */
  pair?: Sequence | null
  /** Adds what the post-processor adds, [CLS] and the like; default true. */
  addSpecialTokens?: boolean
  /** Only ids, type ids and attention mask, faster; default false. */
  idsOnly?: boolean
}

/** What was set since the tokenizer was made from its JSON; replayed when it is put into a new engine instance. */
interface Changes {
  truncation?: object | null
  padding?: object | null
  encode_special_tokens?: boolean
  added_tokens?: AddedToken[]
}

/**
 * A Hugging Face tokenizer, the library's own code in WebAssembly: the ids, offsets and texts are those of Python.
 *
 * ```ts
 * const tokenizer = await Tokenizer.fromFile('tokenizer.json')
 * const { ids, tokens, offsets } = tokenizer.encode('Hello 😀 world')
 * ```
 *
 * Texts go in as a string, or as an array of words (pre-tokenized). Offsets count UTF-16 units. Lone surrogates are
 * read as U+FFFD. A failure inside the library is one error; the tokenizer works on afterwards.
 */
export class Tokenizer {
  readonly #engine: Engine
  readonly #resident: Resident
  readonly #state: State

  private constructor(engine: Engine, json: string) {
    const state = new State(json)
    this.#engine = engine
    this.#state = state
    // The resident must not hold the tokenizer, or neither would ever be garbage.
    this.#resident = new Resident(engine, {
      create: (x) => state.create(x),
      free: (x, handle) => x.tokenizer_free(handle),
    })
    this.#resident.use('Tokenizer', () => undefined)
  }

  /** From the text of a tokenizer.json. Throws where it is none. */
  static async fromString(json: string): Promise<Tokenizer> {
    return new Tokenizer(await loadEngine(), json)
  }

  /** From the bytes of a tokenizer.json. */
  static async fromBuffer(bytes: Uint8Array): Promise<Tokenizer> {
    return Tokenizer.fromString(new TextDecoder().decode(bytes))
  }

  /** From a tokenizer.json on disk (Node). */
  static async fromFile(path: string): Promise<Tokenizer> {
    const { readFile } = await import('node:fs/promises')
    const json = await readFile(path, 'utf8')
    try {
      return await Tokenizer.fromString(json)
    } catch (error) {
      throw new Error(`${error instanceof Error ? error.message : error} (${path})`, { cause: error })
    }
  }

  /** Encodes a text, or a pair, with the truncation and padding that the tokenizer is set to. */
  encode(text: Sequence, options: EncodeOptions = {}): Encoding {
    return this.encodeBatch([{ text, pair: options.pair }], options)[0]
  }

  /** Encodes texts, `[text, pair]` couples given as `{ text, pair }`, or lists of words. */
  encodeBatch(
    inputs: readonly (string | EncodeInput)[],
    { addSpecialTokens = true, idsOnly = false }: Omit<EncodeOptions, 'pair'> = {},
  ): Encoding[] {
    const all = inputs.map((input) => (typeof input === 'string' ? { text: input } : input))
    return this.encodeWith(all, { addSpecialTokens, idsOnly, truncation: 'own' })
  }

  /** Encodes as `request` says, without regard to or effect on the tokenizer's own settings. */
  encodeWith(inputs: readonly EncodeInput[], request: EncodeRequest): Encoding[] {
    checkInputs('encode', inputs)
    // Padding to the longest needs the whole batch in one call.
    const whole = request.truncation === 'own' && this.padding !== null
    const encodings: Encoding[] = []
    for (const portion of whole && inputs.length ? [inputs] : portions(inputs)) {
      const encode = (x: Exports, handle: number) => encodeInEngine(x, handle, portion, request)
      encodings.push(...this.#resident.use('encode', encode))
    }
    return encodings
  }

  decode(ids: readonly number[], { skipSpecialTokens = true }: { skipSpecialTokens?: boolean } = {}): string {
    const numbers = Uint32Array.from(ids, (id) => count('decode', 'an id', id))
    return this.#resident.use('decode', (x, handle) => {
      const status = withBytes(x, new Uint8Array(numbers.buffer), (pointer) =>
        x.tokenizer_decode(handle, pointer, numbers.length, Number(skipSpecialTokens)),
      )
      check(x, 'decode', status)
      return resultText(x)
    })
  }

  decodeBatch(
    batch: readonly (readonly number[])[],
    options: { skipSpecialTokens?: boolean } = {},
  ): string[] {
    return batch.map((ids) => this.decode(ids, options))
  }

  /** The id of a token; undefined where the vocabulary lacks it. */
  tokenToId(token: string): number | undefined {
    const id = this.#resident.use('tokenToId', (x, handle) =>
      withText(x, token, (pointer, length) => x.tokenizer_token_to_id(handle, pointer, length)),
    )
    return id < 0 ? undefined : id
  }

  idToToken(id: number): string | undefined {
    return this.#resident.use('idToToken', (x, handle) =>
      x.tokenizer_id_to_token(handle, count('idToToken', 'an id', id)) === 0 ? resultText(x) : undefined,
    )
  }

  /** Tokens and their ids, in the order of the ids. */
  getVocab(withAddedTokens = true): Map<string, number> {
    return this.#resident.use('getVocab', (x, handle) => {
      check(x, 'getVocab', x.tokenizer_vocab(handle, Number(withAddedTokens)))
      return new Map(resultJson<[string, number][]>(x))
    })
  }

  getVocabSize(withAddedTokens = true): number {
    return this.#resident.use('getVocabSize', (x, handle) =>
      x.tokenizer_vocab_size(handle, Number(withAddedTokens)),
    )
  }

  /** The added tokens by their id, in the order of the ids. */
  getAddedTokens(): Map<number, Required<AddedToken>> {
    return this.#resident.use('getAddedTokens', (x, handle) => {
      check(x, 'getAddedTokens', x.tokenizer_added_tokens(handle))
      return new Map(resultJson<[number, Required<AddedToken>][]>(x))
    })
  }

  /** Adds tokens that are never split; returns how many were new. */
  addTokens(tokens: readonly (string | AddedToken)[]): number {
    return this.#configure({ added_tokens: tokens.map((t) => (typeof t === 'string' ? { content: t } : t)) })
  }

  /** Adds tokens that are never split and that decoding can leave out; returns how many were new. */
  addSpecialTokens(tokens: readonly (string | AddedToken)[]): number {
    return this.addTokens(
      tokens.map((t) => ({ ...(typeof t === 'string' ? { content: t } : t), special: true })),
    )
  }

  /** How many tokens `addSpecialTokens` adds to a text, or to a pair. */
  numSpecialTokensToAdd(pair = false): number {
    return this.#resident.use('numSpecialTokensToAdd', (x, handle) =>
      x.tokenizer_special_token_count(handle, Number(pair)),
    )
  }

  get truncation(): Required<Truncation> | null {
    return truncationFromJson(this.#settings().truncation)
  }

  /** Throws where the stride leaves no room for new tokens. */
  enableTruncation(truncation: Truncation): void {
    this.#configure({ truncation: truncationToJson(truncation) })
  }

  noTruncation(): void {
    this.#configure({ truncation: null })
  }

  get padding(): Required<Padding> | null {
    return paddingFromJson(this.#settings().padding)
  }

  enablePadding(padding: Padding = {}): void {
    this.#configure({ padding: paddingToJson(padding) })
  }

  noPadding(): void {
    this.#configure({ padding: null })
  }

  /** Whether special tokens that occur in a text are split like any other text; default false. */
  setEncodeSpecialTokens(value: boolean): void {
    this.#configure({ encode_special_tokens: value })
  }

  /** The kind of its model. */
  get modelType(): JsonSettings['model'] {
    return this.#settings().model
  }

  /** Trains the model on texts; normalizer and pre-tokenizer are the tokenizer's own. The vocabulary is replaced. */
  train(texts: Iterable<string>, trainer: TrainerOptions): void {
    const json = this.#resident.use('train', (x, handle) => {
      trainInEngine(x, handle, texts, trainer)
      check(x, 'train', x.tokenizer_to_json(handle, 0))
      return resultText(x)
    })
    this.#state.reset(json)
    this.#engine.settle()
  }

  /** The text of its tokenizer.json. */
  toString(pretty = false): string {
    return this.#resident.use('toString', (x, handle) => {
      check(x, 'toString', x.tokenizer_to_json(handle, Number(pretty)))
      return resultText(x)
    })
  }

  /** Writes its tokenizer.json (Node): beside the place, then renamed, so that it is never half there. */
  async save(path: string, pretty = true): Promise<void> {
    const { writeFileAtomic } = await import('./node-files.ts')
    await writeFileAtomic(path, this.toString(pretty))
  }

  /** Gives its memory back at once, instead of when it is garbage. It can still be used: it then loads again. */
  free(): void {
    this.#resident.free()
  }

  [Symbol.dispose](): void {
    this.free()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `Tokenizer(${this.modelType}, ${this.getVocabSize()} tokens)`
  }

  #settings(): JsonSettings {
    this.#state.settings ??= this.#resident.use('settings', (x, handle) => {
      check(x, 'settings', x.tokenizer_settings(handle))
      return resultJson<JsonSettings>(x)
    })
    return this.#state.settings
  }

  #configure(changes: Changes): number {
    const added = this.#resident.use('tokenizer', (x, handle) => configure(x, handle, changes))
    this.#state.record(changes)
    return added
  }
}

/** All that is needed to make the tokenizer again. */
class State {
  #json: Uint8Array
  #changes: Changes = {}
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
  }

  record(changes: Changes): void {
    const added_tokens = [...(this.#changes.added_tokens ?? []), ...(changes.added_tokens ?? [])]
    this.#changes = { ...this.#changes, ...changes, added_tokens }
    this.settings = undefined
  }

  create(x: Exports): number {
    const handle = withBytes(x, this.#json, (pointer, length) => x.tokenizer_new(pointer, length))
    if (handle === 0) throw failure(x, 'Tokenizer')
    configure(x, handle, this.#changes)
    return handle
  }
}

function configure(x: Exports, handle: number, changes: Changes): number {
  if (Object.keys(changes).length === 0) return 0
  const status = withText(x, JSON.stringify(changes), (pointer, length) =>
    x.tokenizer_configure(handle, pointer, length),
  )
  return check(x, 'tokenizer', status)
}
