/** Encoding of large batches on several threads. */
import { type EncodeInput, type EncodeRequest, portions } from './encode.ts'
import { type Encoding, readResult } from './encoding.ts'
import { createThread, type Thread } from './threads.ts'
import type { EncodeOptions, Tokenizer } from './tokenizer.ts'

export interface PoolOptions {
  /** Threads; default 2. */
  workers?: number
}

/** To a worker: the tokenizer, or a portion to encode with it. */
export type ToWorker =
  | { json: string; encodeSpecialTokens: boolean }
  | { portion: readonly EncodeInput[]; request: EncodeRequest }

/** From a worker: what the engine made of the portion, or why not. */
export type FromWorker = { status: number; bytes: Uint8Array } | { error: string }

/** UTF-16 units that go to a worker at once. */
const UNITS_PER_TASK = 2 ** 17

/** Tasks that a worker has at a time: it encodes one while the result of another is read here. */
const TASKS_AT_A_TIME = 2

interface Task {
  portion: readonly EncodeInput[]
  request: EncodeRequest
  resolve(encodings: Encoding[]): void
  reject(error: Error): void
}

/**
 * Workers that encode with copies of a tokenizer, as it is when the pool is made. Worth it for batches of long texts:
 * a portion of about 130,000 UTF-16 units goes to each in turn.
 *
 * ```ts
 * await using pool = new TokenizerPool(tokenizer, { workers: 2 })
 * const encodings = await pool.encodeBatch(texts, { idsOnly: true })
 * ```
 */
export class TokenizerPool {
  readonly #workers: { thread: Thread; tasks: Task[] }[]
  readonly #queue: Task[] = []
  readonly #padsToLongest: boolean
  #isClosed = false

  constructor(tokenizer: Tokenizer, { workers = 2 }: PoolOptions = {}) {
    if (!Number.isInteger(workers) || workers < 1) {
      throw new Error(`[TokenizerPool] workers must be a whole number above 0, not ${workers}`)
    }
    const { padding, encodeSpecialTokens } = tokenizer
    this.#padsToLongest = padding !== null && padding.length === null
    const json = tokenizer.toString()
    this.#workers = Array.from({ length: workers }, (_, i) => {
      const thread = createThread(
        (message) => this.#finished(i, message as FromWorker),
        (error) => void this.#end(new Error(`[TokenizerPool] a worker ended: ${String(error)}`)),
      )
      thread.post({ json, encodeSpecialTokens } satisfies ToWorker)
      return { thread, tasks: [] }
    })
  }

  /** What `tokenizer.encodeBatch` gives. */
  async encodeBatch(
    inputs: readonly (string | EncodeInput)[],
    { addSpecialTokens = true, idsOnly = false }: Omit<EncodeOptions, 'pair'> = {},
  ): Promise<Encoding[]> {
    if (this.#isClosed) throw new Error('[TokenizerPool] it is closed: make another one')
    const all = inputs.map((input) => (typeof input === 'string' ? { text: input } : input))
    const request: EncodeRequest = { addSpecialTokens, idsOnly, truncation: 'own' }
    const parts = this.#padsToLongest && all.length > 0 ? [all] : portions(all, UNITS_PER_TASK)
    const results = Array.from(
      parts,
      (portion) =>
        new Promise<Encoding[]>((resolve, reject) => {
          this.#queue.push({ portion, request, resolve, reject })
        }),
    )
    this.#dispatch()
    return (await Promise.all(results)).flat()
  }

  /** Ends the workers; what they have not finished is rejected. */
  async close(): Promise<void> {
    await this.#end(new Error('[TokenizerPool] it was closed meanwhile'))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #end(reason: Error): Promise<void> {
    this.#isClosed = true
    const open = [...this.#queue.splice(0), ...this.#workers.flatMap(({ tasks }) => tasks.splice(0))]
    for (const task of open) task.reject(reason)
    await Promise.all(this.#workers.map(({ thread }) => thread.terminate()))
  }

  #dispatch(): void {
    for (let load = 1; load <= TASKS_AT_A_TIME; load++) {
      for (const { thread, tasks } of this.#workers) {
        if (tasks.length >= load || this.#queue.length === 0) continue
        const task = this.#queue.shift()!
        tasks.push(task)
        thread.keepAlive(true)
        thread.post({ portion: task.portion, request: task.request } satisfies ToWorker)
      }
    }
  }

  /** Workers answer in the order in which they were asked. */
  #finished(index: number, message: FromWorker): void {
    const { thread, tasks } = this.#workers[index]
    const task = tasks.shift()
    this.#dispatch()
    if (tasks.length === 0) thread.keepAlive(false)
    if (!task) return
    if ('error' in message) task.reject(new Error(message.error))
    else task.resolve(readResult(message.bytes, message.status, task.portion.length, !task.request.idsOnly))
  }
}
