import type { HubOptions, ModelFolder } from '../hub/index.ts'
import {
  checkInputs,
  type EncodeInput,
  type EncodeRequest,
  encodeInEngine,
  portions,
  type Sequence,
} from './encode.ts'
import { type Encoding, readResult } from './encoding.ts'
import {
  check,
  type Engine,
  EngineFailure,
  loadEngine,
  resultJson,
  resultText,
  withBytes,
  withText,
} from './engine.ts'
import type { ComponentConfig } from './parts/config.ts'
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
import { type Changes, configure, State } from './tokenizer-state.ts'
import { type TrainerOptions, trainInEngine } from './train.ts'

export interface EncodeOptions {
  /** The second text of a pair. */
  pair?: Sequence | null
  /** Adds what the post-processor adds, [CLS] and the like; default true. */
  addSpecialTokens?: boolean
  /** Only ids, type ids and attention mask, faster; default false. */
  idsOnly?: boolean
}

/** The parts of a tokenizer, each as in its tokenizer.json. */
export interface Parts {
  model: ComponentConfig
  normalizer: ComponentConfig | null
  preTokenizer: ComponentConfig | null
  postProcessor: ComponentConfig | null
  decoder: ComponentConfig | null
}

const partFields: Record<keyof Parts, string> = {
  model: 'model',
  normalizer: 'normalizer',
  preTokenizer: 'pre_tokenizer',
  postProcessor: 'post_processor',
  decoder: 'decoder',
}

/** Tokens that padding alone may make of a batch. */
const MOST_PADDED_TOKENS = 2 ** 24

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

  /**
   * From a model and the other parts, made by `models`, `normalizers`, `preTokenizers`, `postProcessors`, `decoders`:
   *
   * ```ts
   * const tokenizer = await Tokenizer.fromModel(models.BPE({ unkToken: '[UNK]' }), { preTokenizer: preTokenizers.Whitespace() })
   * await tokenizer.trainFromIterator(texts, trainers.BpeTrainer({ vocabSize: 8000, specialTokens: ['[UNK]'] }))
   * ```
   */
  static async fromModel(
    model: ComponentConfig,
    parts: Partial<Omit<Parts, 'model'>> = {},
  ): Promise<Tokenizer> {
    const { normalizer = null, preTokenizer = null, postProcessor = null, decoder = null, ...unknown } = parts
    const name = Object.keys(unknown)[0]
    if (name !== undefined) {
      throw new Error(`[Tokenizer] there is no part ${name}: it has ${Object.keys(partFields).join(', ')}`)
    }
    const json = {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer,
      decoder,
      model,
    }
    return Tokenizer.fromString(
      JSON.stringify({ ...json, pre_tokenizer: preTokenizer, post_processor: postProcessor }),
    )
  }

  /**
   * The tokenizer of a model: of a folder, or of the Hub by its id, whose tokenizer files are fetched into the Hugging Face
   * cache; older files than tokenizer.json are converted. `AutoTokenizer` of `tunesmith/transformers` knows special tokens
   * and chat templates too.
   *
   * @throws HubError where there is no such model
   */
  static async fromPretrained(source: string | ModelFolder, options: HubOptions = {}): Promise<Tokenizer> {
    const { openModelFolder, TOKENIZER_FILES } = await import('../hub/index.ts')
    const { readTokenizerFolder } = await import('./pretrained-folder.ts')
    const { readTokenizerFiles } = await import('./pretrained-files.ts')
    const folder = await openModelFolder(source, { ...options, include: [...TOKENIZER_FILES, 'config.json'] })
    return (await readTokenizerFiles(await readTokenizerFolder(folder))).backend
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
      const read = ({ status, bytes }: { status: number; bytes: Uint8Array }) =>
        readResult(bytes, status, portion.length, !request.idsOnly)
      for (const encoding of this.#encodePortion(portion, request, read)) encodings.push(encoding)
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

  get encodeSpecialTokens(): boolean {
    return this.#state.encodeSpecialTokens
  }

  get fastState(): string {
    return this.#state.idsState
  }
  /** The kind of its model. */
  get modelType(): JsonSettings['model'] {
    return this.#settings().model
  }

  /** Changes texts before they are split; null for none. Setting it makes the tokenizer anew, like the other parts. */
  get normalizer(): ComponentConfig | null {
    return this.#part('normalizer')
  }

  set normalizer(config: ComponentConfig | null) {
    this.#setPart('normalizer', config)
  }

  /** Splits texts into words. */
  get preTokenizer(): ComponentConfig | null {
    return this.#part('preTokenizer')
  }

  set preTokenizer(config: ComponentConfig | null) {
    this.#setPart('preTokenizer', config)
  }

  /** Splits words into tokens; its vocabulary included. */
  get model(): ComponentConfig {
    return this.#part('model') as ComponentConfig
  }

  set model(config: ComponentConfig) {
    this.#setPart('model', config)
  }

  /** Puts special tokens around texts. */
  get postProcessor(): ComponentConfig | null {
    return this.#part('postProcessor')
  }

  set postProcessor(config: ComponentConfig | null) {
    this.#setPart('postProcessor', config)
  }

  /** Makes a text of tokens. */
  get decoder(): ComponentConfig | null {
    return this.#part('decoder')
  }

  set decoder(config: ComponentConfig | null) {
    this.#setPart('decoder', config)
  }

  /** Trains the model on text files (Node), line by line; see `trainFromIterator`. */
  async train(files: readonly string[], trainer: TrainerOptions): Promise<void> {
    const { readFile } = await import('node:fs/promises')
    const lines: string[] = []
    for (const file of files) {
      for (const line of (await readFile(file, 'utf8')).match(/.*\n|.+$/g) ?? []) lines.push(line)
    }
    await this.trainFromIterator(lines, trainer)
  }

  /**
   * Trains the model on texts, or lists of texts; normalizer and pre-tokenizer are the tokenizer's own. The vocabulary is
   * replaced. All texts are in memory at once. `trainers` makes the options.
   */
  async trainFromIterator(
    texts: Iterable<string | readonly string[]> | AsyncIterable<string | readonly string[]>,
    trainer: TrainerOptions,
  ): Promise<void> {
    if (typeof texts === 'string') throw new Error('[train] the texts are a list, not one string')
    const all: string[] = []
    for await (const item of texts)
      for (const text of typeof item === 'string' ? [item] : item) all.push(text)
    this.#train(all, trainer)
  }

  #train(texts: readonly string[], trainer: TrainerOptions): void {
    const json = this.#engine.fresh().run('train', (x) => {
      const handle = this.#state.create(x)
      trainInEngine(x, handle, texts, trainer)
      check(x, 'train', x.tokenizer_to_json(handle, 0))
      return resultText(x)
    })
    this.#resident.free()
    this.#state.reset(json)
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

  /** As `encodeWith`, one portion, to bytes that another thread can make encodings of (`readResult`). */
  encodeToBytes(
    inputs: readonly EncodeInput[],
    request: EncodeRequest,
  ): { status: number; bytes: Uint8Array } {
    checkInputs('encode', inputs)
    return this.#encodePortion(inputs, request, ({ status, bytes }) => ({ status, bytes: bytes.slice() }))
  }

  #encodePortion<T>(
    inputs: readonly EncodeInput[],
    request: EncodeRequest,
    read: (result: { status: number; bytes: Uint8Array }) => T,
  ): T {
    this.#checkPadding(inputs.length, request)
    const encode = () =>
      this.#resident.use('encode', (x, handle) => read(encodeInEngine(x, handle, inputs, request)))
    if (!request.idsOnly || typeof inputs[0].text !== 'string') return encode()
    if (this.#state.isWorthPreparing(inputs)) {
      this.#resident.use('encode', (x, handle) => this.#state.prepareIds(x, handle))
      this.#engine.settle()
    }
    if (!this.#state.idsPrepared) return encode()
    try {
      return encode()
    } catch (error) {
      if (!(error instanceof EngineFailure)) throw error
      this.#state.giveIdsUp()
      return encode()
    }
  }

  /** A damaged file may ask for rows without end. */
  #checkPadding(rows: number, request: EncodeRequest): void {
    if (request.truncation !== 'own') return
    const { length = 0, padToMultipleOf = 0 } = this.padding ?? {}
    const tokens = Math.max(length ?? 0, padToMultipleOf ?? 0) * rows
    if (tokens <= MOST_PADDED_TOKENS) return
    throw new Error(
      `[encode] padding makes ${tokens} tokens of ${rows} texts: set another with enablePadding`,
    )
  }

  #part(name: keyof Parts): ComponentConfig | null {
    const json = JSON.parse(this.toString()) as Record<string, ComponentConfig | null>
    return json[partFields[name]]
  }

  #setPart(name: keyof Parts, config: ComponentConfig | null): void {
    const before = this.toString()
    const json = JSON.parse(before) as Record<string, unknown>
    json[partFields[name]] = config
    const replace = (text: string) => {
      this.#resident.free()
      this.#state.reset(text)
      this.#resident.use(name, () => undefined)
    }
    try {
      replace(JSON.stringify(json))
    } catch (error) {
      replace(before)
      const reason = error instanceof Error ? error.message.replace(/^\[\w+\] /, '') : String(error)
      throw new Error(`[${name}] ${reason}`, { cause: error })
    }
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
