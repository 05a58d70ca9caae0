import type { BatchEncoding } from './batch-encoding.ts'
import {
  type ApplyChatTemplateOptions,
  type CallOptions,
  callOptionNames,
  chatOptionNames,
  checkOptionNames,
  type EncodeTextOptions,
  type PadOptions,
} from './call-options.ts'
import { Callable } from './callable.ts'
import { type ChatMessage, renderChat } from './chat-template.ts'
import type { EncodeInput, EncodeRequest, Sequence } from './encode.ts'
import { encodeTexts, type TextInput } from './encode-batch.ts'
import type { Encoding } from './encoding.ts'
import { type EncodedColumns, type EncodedRow, type PaddedColumns, padBatch } from './pad-batch.ts'
import {
  readTokenizerFiles,
  type TokenizerFiles,
  type TokenizerParts,
  writeTokenizerFiles,
} from './pretrained-files.ts'
import { type FolderReader, readTokenizerFolder } from './pretrained-folder.ts'
import type { AddedToken, Side } from './settings.ts'
import { type SpecialTokenName, type SpecialTokens, specialTokenNames } from './special-tokens.ts'
import { TextStream } from './stream.ts'
import type { Tokenizer } from './tokenizer.ts'

/** Ids as they come from an encoding, an array or a tensor's data. */
export type Ids = ArrayLike<number>

export interface DecodeOptions {
  /** Leaves special tokens out; default false. */
  skipSpecialTokens?: boolean
  /** Removes spaces before punctuation; default: as tokenizer_config.json says. Never done for BPE. */
  cleanUpTokenizationSpaces?: boolean
}

type TokenAccessors = {
  /** The token of a role; null where there is none. Setting it needs a token of the vocabulary. */
  [Name in SpecialTokenName]: string | null
} & { [Name in SpecialTokenName as `${Name}Id`]: number | null }

// The accessors are defined at the end of the file, the call by Callable.
export interface PreTrainedTokenizer extends TokenAccessors {
  (text: string, options?: CallOptions & { returnOverflowingTokens?: false }): BatchEncoding<false>
  (text: TextInput, options: CallOptions & { returnOverflowingTokens: true }): BatchEncoding<true>
  (texts: readonly string[], options?: CallOptions & { isSplitIntoWords?: false }): BatchEncoding<true>
  (
    texts: readonly (readonly string[])[],
    options: CallOptions & { isSplitIntoWords: true },
  ): BatchEncoding<true>
  (text: TextInput, options?: CallOptions): BatchEncoding
}

/**
 * A tokenizer with what its model needs to know: special tokens, lengths, sides, chat template; in the manner of
 * transformers.
 *
 * ```ts
 * const tokenizer = await PreTrainedTokenizer.fromFolder('models/encoder')
 * const { inputIds, attentionMask } = tokenizer(['A text.', 'Another one.'], { padding: true })
 * tokenizer.decode(inputIds[0], { skipSpecialTokens: true })
 * ```
 *
 * Results are plain arrays; `AutoTokenizer` of `tunesmith/transformers` also gives tensors.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface
export class PreTrainedTokenizer extends Callable {
  /** The tokenizer itself. */
  readonly backend: Tokenizer
  /** Most tokens that the model takes; 1e30 for no limit. */
  modelMaxLength: number
  paddingSide: Side
  truncationSide: Side
  padTokenTypeId: number
  /** Fields that the model takes, in Python's names. */
  modelInputNames: string[]
  /** A template, or several by name. */
  chatTemplate: string | Record<string, string> | null
  readonly #parts: TokenizerParts
  #splitsSpecialTokens = false

  constructor(parts: TokenizerParts) {
    super()
    this.#parts = parts
    this.backend = parts.backend
    this.modelMaxLength = parts.modelMaxLength
    this.paddingSide = parts.paddingSide
    this.truncationSide = parts.truncationSide
    this.padTokenTypeId = parts.padTokenTypeId
    this.modelInputNames = parts.modelInputNames
    this.chatTemplate = parts.chatTemplate
  }

  /** From the contents of its files. */
  static async fromFiles<T extends PreTrainedTokenizer>(
    this: new (
      parts: TokenizerParts,
    ) => T,
    files: TokenizerFiles,
  ): Promise<T> {
    return new this(await readTokenizerFiles(files))
  }

  /** From a folder on disk (Node), or from anywhere, file by file. */
  static async fromFolder<T extends PreTrainedTokenizer>(
    this: new (
      parts: TokenizerParts,
    ) => T,
    folder: string | FolderReader,
  ): Promise<T> {
    const reader = typeof folder === 'string' ? (await import('./node-files.ts')).onDisk(folder) : folder
    return new this(await readTokenizerFiles(await readTokenizerFolder(reader)))
  }

  _call(text: TextInput, options: CallOptions = {}): BatchEncoding {
    checkOptionNames('tokenizer', options, callOptionNames)
    return encodeTexts(this.#callContext(), text, options)
  }

  /** The ids of a text. */
  encode(text: Sequence, options: EncodeTextOptions & { textPair?: Sequence | null } = {}): number[] {
    return this._call(text, options).inputIds as number[]
  }

  /** The tokens of a text, without special tokens unless asked for. */
  tokenize(text: Sequence, options: EncodeTextOptions & { textPair?: Sequence | null } = {}): string[] {
    return this._call(text, { addSpecialTokens: false, ...options }).tokens()
  }

  /** The text of ids. */
  decode(ids: Ids, { skipSpecialTokens = false, cleanUpTokenizationSpaces }: DecodeOptions = {}): string {
    const text = this.backend.decode(Array.from(ids), { skipSpecialTokens })
    const cleanUp = cleanUpTokenizationSpaces ?? this.#parts.config.clean_up_tokenization_spaces ?? false
    return cleanUp && this.backend.modelType !== 'BPE' ? cleanUpSpaces(text) : text
  }

  batchDecode(batch: readonly Ids[], options: DecodeOptions = {}): string[] {
    return batch.map((ids) => this.decode(ids, options))
  }

  /** Text from ids as they are generated, never half a character. */
  textStream(options: DecodeOptions = {}): TextStream {
    return new TextStream((ids) => this.decode(ids, options))
  }

  /** Pads rows that were encoded earlier. `padding` is true by default. */
  pad(encoded: EncodedColumns | readonly EncodedRow[], options: PadOptions = {}): PaddedColumns {
    return padBatch(this.#callContext(), encoded, options)
  }

  /** Ids of tokens; the unknown token's where the vocabulary lacks one. */
  convertTokensToIds(token: string): number | null
  convertTokensToIds(tokens: readonly string[]): (number | null)[]
  convertTokensToIds(tokens: string | readonly string[]): number | null | (number | null)[] {
    if (typeof tokens !== 'string') return tokens.map((token) => this.convertTokensToIds(token))
    const { unkToken } = this.#special.named
    return (
      this.backend.tokenToId(tokens) ??
      (unkToken === undefined ? null : (this.backend.tokenToId(unkToken) ?? null))
    )
  }

  /** Tokens of ids; null for an id that is none. */
  convertIdsToTokens(id: number): string | null
  convertIdsToTokens(ids: Ids, options?: { skipSpecialTokens?: boolean }): (string | null)[]
  convertIdsToTokens(
    ids: number | Ids,
    { skipSpecialTokens = false } = {},
  ): string | null | (string | null)[] {
    if (typeof ids === 'number') return this.backend.idToToken(ids) ?? null
    const skipped = new Set(skipSpecialTokens ? this.allSpecialIds : [])
    return Array.from(ids)
      .filter((id) => !skipped.has(id))
      .map((id) => this.backend.idToToken(id) ?? null)
  }

  /** Tokens in the vocabulary, without added ones. */
  get vocabSize(): number {
    return this.backend.getVocabSize(false)
  }

  /** Tokens in all, added ones too: the rows that an embedding needs. */
  get length(): number {
    return this.backend.getVocabSize()
  }

  getVocab(): Map<string, number> {
    return this.backend.getVocab()
  }

  /** Adds tokens that are never split; returns how many were new. The model's embedding must be resized then. */
  addTokens(tokens: readonly (string | AddedToken)[], { specialTokens = false } = {}): number {
    return specialTokens ? this.backend.addSpecialTokens(tokens) : this.backend.addTokens(tokens)
  }

  /** Gives tokens a role, and adds them where they are new; returns how many were. */
  addSpecialTokens(
    tokens: Partial<Record<SpecialTokenName, string | AddedToken>> & {
      additionalSpecialTokens?: readonly (string | AddedToken)[]
    },
  ): number {
    checkOptionNames('addSpecialTokens', tokens, [...specialTokenNames, 'additionalSpecialTokens'])
    const { additionalSpecialTokens = [], ...named } = tokens
    const text = (token: string | AddedToken) => (typeof token === 'string' ? token : token.content)
    const count = this.backend.addSpecialTokens([...Object.values(named), ...additionalSpecialTokens])
    for (const [name, token] of Object.entries(named))
      this.#special.named[name as SpecialTokenName] = text(token)
    this.#special.extra = [...new Set([...this.#special.extra, ...additionalSpecialTokens.map(text)])]
    return count
  }

  /** The tokens that have a role, by its name in Python. */
  get specialTokensMap(): Record<string, string> {
    return this.#special.toMap()
  }

  get additionalSpecialTokens(): string[] {
    return [...this.#special.extra]
  }

  get allSpecialTokens(): string[] {
    return this.#special.all()
  }

  get allSpecialIds(): number[] {
    return this.allSpecialTokens
      .map((token) => this.backend.tokenToId(token))
      .filter((id) => id !== undefined)
  }

  /** How many tokens are put around a text, or a pair. */
  numSpecialTokensToAdd(pair = false): number {
    return this.backend.numSpecialTokensToAdd(pair)
  }

  /** The text of a conversation as the model was trained on it, encoded; a list of conversations gives a batch. */
  applyChatTemplate(
    conversation: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): string
  applyChatTemplate(
    conversations: readonly (readonly ChatMessage[])[],
    options: ApplyChatTemplateOptions & { tokenize: false },
  ): string[]
  applyChatTemplate(
    conversation: readonly ChatMessage[],
    options: ApplyChatTemplateOptions & { returnDict: false; tokenize?: true },
  ): number[]
  applyChatTemplate(
    conversation: readonly ChatMessage[],
    options?: ApplyChatTemplateOptions & { returnDict?: true; tokenize?: true },
  ): BatchEncoding<false>
  applyChatTemplate(
    conversations: readonly (readonly ChatMessage[])[],
    options?: ApplyChatTemplateOptions & { returnDict?: true; tokenize?: true },
  ): BatchEncoding<true>
  applyChatTemplate(
    conversation: readonly ChatMessage[] | readonly (readonly ChatMessage[])[],
    options: ApplyChatTemplateOptions = {},
  ): string | string[] | number[] | number[][] | BatchEncoding {
    checkOptionNames('applyChatTemplate', options, chatOptionNames)
    const { tokenize = true, returnDict = true, padding, truncation, maxLength, tokenizerKwargs } = options
    const template = this.getChatTemplate(options.chatTemplate, options.tools)
    const batched = Array.isArray(conversation[0])
    const chats = (batched ? conversation : [conversation]) as readonly (readonly ChatMessage[])[]
    const texts = chats.map((chat) => renderChat(template, chat, this.specialTokensMap, options))
    if (!tokenize) return batched ? texts : texts[0]
    // The template writes the special tokens itself.
    const settings = { padding, truncation, maxLength, addSpecialTokens: false, ...tokenizerKwargs }
    const encoded = this._call(batched ? texts : texts[0], settings)
    return returnDict ? encoded : encoded.inputIds
  }

  /** The template that `applyChatTemplate` uses: the one given, or named, or the tokenizer's own. */
  getChatTemplate(template?: string | null, tools?: unknown): string {
    const own = this.chatTemplate
    if (own !== null && typeof own !== 'string') {
      const found = own[template ?? (tools && 'tool_use' in own ? 'tool_use' : 'default')] ?? template
      if (found) return found
      throw new Error(
        `[applyChatTemplate] say which template, chatTemplate: ${Object.keys(own).join(' or ')}`,
      )
    }
    const found = template ?? own
    if (found) return found
    throw new Error(
      '[applyChatTemplate] the tokenizer has no chat template: pass chatTemplate, or set tokenizer.chatTemplate',
    )
  }

  /** Contents of its files by their names, as `savePretrained` writes them. */
  toFiles(): Record<string, string> {
    const { modelMaxLength, paddingSide, truncationSide, chatTemplate } = this
    return writeTokenizerFiles({ ...this.#parts, modelMaxLength, paddingSide, truncationSide, chatTemplate })
  }

  /** Writes its files into a folder (Node), each whole or not at all; Python's AutoTokenizer reads them. */
  async savePretrained(folder: string): Promise<void> {
    const { writeFolder } = await import('./node-files.ts')
    await writeFolder(folder, this.toFiles())
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    const roles = Object.entries(this.specialTokensMap).map(([name, token]) => `${name}: ${token}`)
    const limit = this.modelMaxLength >= 1e20 ? 'none' : this.modelMaxLength
    return `${this.constructor.name}(${this.backend.modelType}, ${this.length} tokens, modelMaxLength: ${limit}, ${roles.join(', ')})`
  }

  /** For the accessors of the special tokens. */
  protected get _specialTokens(): SpecialTokens {
    return this.#special
  }

  get #special(): SpecialTokens {
    return this.#parts.specialTokens
  }

  #callContext() {
    const {
      modelMaxLength,
      truncationSide,
      paddingSide,
      padToken,
      padTokenId,
      padTokenTypeId,
      modelInputNames,
    } = this
    const encode = (
      inputs: EncodeInput[],
      request: EncodeRequest,
      split: boolean | null | undefined,
    ): Encoding[] => {
      this.#splitSpecialTokens(split ?? this.#parts.config.split_special_tokens ?? false)
      return this.backend.encodeWith(inputs, request)
    }
    const limits = { modelMaxLength, truncationSide, paddingSide, padToken }
    return { ...limits, padTokenId, padTokenTypeId, modelInputNames, encode }
  }

  #splitSpecialTokens(value: boolean): void {
    if (value === this.#splitsSpecialTokens) return
    this.backend.setEncodeSpecialTokens(value)
    this.#splitsSpecialTokens = value
  }
}

for (const name of specialTokenNames) {
  Object.defineProperty(PreTrainedTokenizer.prototype, name, {
    get(this: PreTrainedTokenizer): string | null {
      return this._specialTokens.named[name] ?? null
    },
    set(this: PreTrainedTokenizer, token: string | null) {
      if (token !== null && this.backend.tokenToId(token) === undefined) {
        throw new Error(
          `[${name}] ${JSON.stringify(token)} is not in the vocabulary: addSpecialTokens({ ${name}: ${JSON.stringify(token)} }) adds it`,
        )
      }
      this._specialTokens.named[name] = token ?? undefined
    },
  })
  Object.defineProperty(PreTrainedTokenizer.prototype, `${name}Id`, {
    get(this: PreTrainedTokenizer): number | null {
      const token = this[name]
      return token === null ? null : (this.backend.tokenToId(token) ?? null)
    },
    set(this: PreTrainedTokenizer, id: number | null) {
      const token = id === null ? null : this.backend.idToToken(id)
      if (token === undefined) throw new Error(`[${name}Id] there is no token ${id}`)
      this[name] = token
    },
  })
}

/** transformers' `clean_up_tokenization`. */
function cleanUpSpaces(text: string): string {
  const replacements = [' .', ' ?', ' !', ' ,', " ' ", " n't", " 'm", " 's", " 've", " 're"]
  return replacements.reduce((cleaned, piece) => cleaned.replaceAll(piece, piece.trim()), text)
}
