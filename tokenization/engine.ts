/**
 * The WebAssembly instance behind every tokenizer of the process: loaded on first use, renewed when a call in it
 * failed or its memory has grown too far. WebAssembly memory never shrinks, and an instance that trapped cannot be
 * trusted, so what lives in it (see `Resident`) must be able to come back in a new one.
 */
import { type WasmMemory, type WasmModule, webAssembly } from './webassembly.ts'

/** What `tokenization/wasm/src` exports; that is where each function is described. */
export interface Exports {
  readonly memory: WasmMemory
  init(seedLow: number, seedHigh: number): void
  memory_alloc(bytes: number): number
  memory_free(pointer: number, bytes: number): void
  result_pointer(): number
  result_length(): number
  error_pointer(): number
  error_length(): number
  tokenizer_new(json: number, length: number): number
  tokenizer_free(tokenizer: number): void
  tokenizer_prepare_ids(tokenizer: number): number
  tokenizer_to_json(tokenizer: number, pretty: number): number
  tokenizer_settings(tokenizer: number): number
  tokenizer_configure(tokenizer: number, json: number, length: number): number
  tokenizer_encode(
    tokenizer: number,
    layout: number,
    layoutLength: number,
    bytes: number,
    flags: number,
    maxLength: number,
    stride: number,
  ): number
  tokenizer_decode(tokenizer: number, ids: number, length: number, skipSpecialTokens: number): number
  tokenizer_token_to_id(tokenizer: number, token: number, length: number): number
  tokenizer_id_to_token(tokenizer: number, id: number): number
  tokenizer_vocab_size(tokenizer: number, withAdded: number): number
  tokenizer_vocab(tokenizer: number, withAdded: number): number
  tokenizer_added_tokens(tokenizer: number): number
  tokenizer_special_token_count(tokenizer: number, pair: number): number
  tokenizer_train(
    tokenizer: number,
    options: number,
    optionsLength: number,
    lengths: number,
    count: number,
    bytes: number,
  ): number
  component_new(kind: number, json: number, length: number): number
  component_free(component: number): void
  component_run(component: number, json: number, length: number): number
  byte_level_alphabet(): number
}

/** How far the memory may grow beyond what loading took, before the instance is renewed. */
const ALLOWED_GROWTH = 128 * 2 ** 20

const encoder = new TextEncoder()
/** Keeps a byte order mark: here it is text like any other. */
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export class Engine {
  #module: WasmModule
  #exports: Exports
  #loadedBytes = 0
  /** Grows with each renewal; handles of an older generation are dead. */
  generation = 0

  constructor(module: WasmModule) {
    this.#module = module
    this.#exports = this.#instantiate()
  }

  /**
   * Runs `action` on the exports. A trap in it becomes an error named after `operation`, and the instance is renewed.
   */
  run<T>(operation: string, action: (exports: Exports) => T): T {
    let result: T
    try {
      result = action(this.#exports)
    } catch (error) {
      if (!isTrap(error)) throw error
      const reason = this.#reasonOfTrap(error)
      this.#renew()
      throw new EngineFailure(`[${operation}] the tokenizers library failed: ${reason}`, { cause: error })
    }
    if (this.memoryBytes > this.#loadedBytes + ALLOWED_GROWTH) this.#renew()
    return result
  }

  /**
   * Another instance, with a memory of its own that goes with it, in which the same calls give the same results: the order
   * of hash maps depends on how many there were before.
   */
  fresh(): Engine {
    return new Engine(this.#module)
  }

  get memoryBytes(): number {
    return this.#exports.memory.buffer.byteLength
  }

  /** To be called when something that stays was put into the memory: it does not count as growth. */
  settle(): void {
    this.#loadedBytes = Math.max(this.#loadedBytes, this.memoryBytes)
  }

  #instantiate(): Exports {
    const { exports } = new webAssembly.Instance(this.#module, {})
    const made = exports as Exports
    // A fixed seed: the order of hash maps, on which a trained vocabulary can depend, is the same every time.
    made.init(0x2545f491, 0x4f6cdd1d)
    return made
  }

  #renew(): void {
    this.#exports = this.#instantiate()
    this.#loadedBytes = this.memoryBytes
    this.generation++
  }

  /** The panic's message where there is one; running out of memory or stack leaves none. */
  #reasonOfTrap(error: Error): string {
    const { memory, error_pointer, error_length } = this.#exports
    try {
      const message = readText(memory, error_pointer(), error_length())
      if (message.startsWith('panicked at'))
        return message.replace(/^panicked at \S+\s*/, '').replace(/\s+/g, ' ')
    } catch {
      // The instance is too broken to ask.
    }
    return `${error.message}, probably for lack of memory or stack; encode very long texts in pieces`
  }
}

/** The library failed, or ran out of memory: the instance it ran in is gone. */
export class EngineFailure extends Error {}

function isTrap(error: unknown): error is Error {
  return error instanceof webAssembly.RuntimeError || error instanceof RangeError
}

let loading: Promise<Engine> | undefined

/** The engine of the process, loaded once. */
export function loadEngine(): Promise<Engine> {
  loading ??= compile(new URL('./tokenizers.wasm', import.meta.url)).then(
    (module) => new Engine(module),
    (error) => {
      loading = undefined
      throw error
    },
  )
  return loading
}

/** Compiles the file at `url`: read from disk in Node, fetched elsewhere. */
export async function compile(url: URL): Promise<WasmModule> {
  if (url.protocol === 'file:') {
    const { readFile } = await import('node:fs/promises')
    return webAssembly.compile(await readFile(url))
  }
  const response = await fetch(url)
  if (!response.ok)
    throw new Error(`[tokenizers] ${url} answered ${response.status}: serve tokenizers.wasm there`)
  // Streaming compilation needs the right media type, which not every server sends.
  if (response.headers.get('content-type')?.startsWith('application/wasm')) {
    return webAssembly.compileStreaming(Promise.resolve(response))
  }
  return webAssembly.compile(new Uint8Array(await response.arrayBuffer()))
}

/** Calls `action` with a copy of `bytes` in the engine's memory. */
export function withBytes<T>(
  x: Exports,
  bytes: Uint8Array,
  action: (pointer: number, length: number) => T,
): T {
  const pointer = x.memory_alloc(bytes.length)
  new Uint8Array(x.memory.buffer, pointer, bytes.length).set(bytes)
  const result = action(pointer, bytes.length)
  // Not in a finally: after a trap the instance is gone, and there is nothing to free.
  x.memory_free(pointer, bytes.length)
  return result
}

/** Calls `action` with `text` as UTF-8 in the engine's memory. Lone surrogates become U+FFFD. */
export function withText<T>(x: Exports, text: string, action: (pointer: number, length: number) => T): T {
  const capacity = text.length * 3
  const pointer = x.memory_alloc(capacity)
  const { written } = encoder.encodeInto(text, new Uint8Array(x.memory.buffer, pointer, capacity))
  const result = action(pointer, written)
  x.memory_free(pointer, capacity)
  return result
}

/** Throws the engine's error when `status` is negative; otherwise returns it. */
export function check(x: Exports, operation: string, status: number): number {
  if (status < 0) throw failure(x, operation)
  return status
}

/** The error that the last failed call left. */
export function failure(x: Exports, operation: string): Error {
  return new Error(`[${operation}] ${readText(x.memory, x.error_pointer(), x.error_length())}`)
}

/** The result of the last call, as text. */
export function resultText(x: Exports): string {
  return readText(x.memory, x.result_pointer(), x.result_length())
}

/** The result of the last call, parsed as JSON of the type that the export promises. */
export function resultJson<T>(x: Exports): T {
  return JSON.parse(resultText(x)) as T
}

function readText(memory: WasmMemory, pointer: number, length: number): string {
  return decoder.decode(new Uint8Array(memory.buffer, pointer, length))
}
