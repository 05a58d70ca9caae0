/** Starting and ending worker threads, in Node and in browsers. */
import type { AddressBits } from './assembler.ts'
import { CONTROL } from './control.ts'
import type { LeadDone, WorkerStart } from './worker.ts'

interface Thread {
  post(message: WorkerStart): void
  terminate(): Promise<void>
  /** Whether the thread keeps the process alive. */
  keepAlive(on: boolean): void
}

type OnMessage = (message: LeadDone) => void

const isNode =
  typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string'

// created without awaiting, so that programs which read synchronously get their workers too
function createThread(onMessage: OnMessage, onError: (error: unknown) => void): Thread {
  if (isNode) {
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    // flags of the parent (test runners', inspectors') are not for workers
    const worker = new Worker(new URL('./worker.ts', import.meta.url), { execArgv: [] })
    worker.on('message', onMessage)
    worker.on('error', onError)
    worker.unref()
    return {
      post: (message) => worker.postMessage(message),
      terminate: async () => {
        await worker.terminate()
      },
      keepAlive: (on) => (on ? worker.ref() : worker.unref()),
    }
  }
  // the build renames the script; bundlers find it by this form
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' })
  worker.onmessage = (event) => onMessage(event.data as LeadDone)
  worker.onerror = onError
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => worker.terminate(),
    keepAlive: () => undefined,
  }
}

/** Whether threads can be given the memory: not in a page that is not cross-origin isolated. */
export const canShareMemory = (): boolean =>
  isNode || (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true

/** Cores that this process may use. */
export function availableCores(): number {
  if (isNode) return process.getBuiltinModule('node:os').availableParallelism()
  return (globalThis as { navigator?: { hardwareConcurrency?: number } }).navigator?.hardwareConcurrency ?? 1
}

/** The worker threads of one memory. */
export class WorkerPool {
  readonly #memory: WebAssembly.Memory
  readonly #addressBits: AddressBits
  /** How many there are once started. */
  readonly size: number
  readonly #leads: boolean
  #threads: Thread[] = []
  #pending: { resolve(): void; reject(error: Error): void } | null = null
  #isStopped = false

  constructor(memory: WebAssembly.Memory, addressBits: AddressBits, count: number, leads: boolean) {
    this.#memory = memory
    this.#addressBits = addressBits
    this.size = count
    this.#leads = leads
  }

  /** Starts the workers, once; until they are up, whoever leads works alone. */
  start(): void {
    if (this.#threads.length > 0 || this.#isStopped) return
    for (let i = 0; i < this.size; i++) {
      const thread = createThread(
        (message) => this.#finished(message.error === null ? null : new Error(message.error)),
        (error) => this.#finished(new Error(`[cpu] a worker thread ended: ${String(error)}`)),
      )
      this.#threads.push(thread)
      thread.post({
        memory: this.#memory,
        addressBits: this.#addressBits,
        index: i + 1,
        leads: this.#leads && i === 0,
      })
    }
  }

  /** Lets worker 1 lead a program; the process stays alive until it is done. */
  async lead(program: number, count: number): Promise<void> {
    this.start()
    const [leader] = this.#threads
    if (!leader) throw new Error('[cpu] there is no worker thread to run on: shutdown() was called')
    const words = new Int32Array(this.#memory.buffer, 0, 128)
    leader.keepAlive(true)
    try {
      await new Promise<void>((resolve, reject) => {
        this.#pending = { resolve, reject }
        words[CONTROL.leadProgram] = program / 4
        words[CONTROL.leadCount] = count
        Atomics.add(words, CONTROL.leadRequest, 1)
        Atomics.add(words, CONTROL.wake, 1)
        Atomics.notify(words, CONTROL.wake)
      })
    } finally {
      leader.keepAlive(false)
    }
  }

  #finished(error: Error | null): void {
    const pending = this.#pending
    this.#pending = null
    if (error) pending?.reject(error)
    else pending?.resolve()
    if (error && !pending) console.error(error.message)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    const words = new Int32Array(this.#memory.buffer, 0, 128)
    Atomics.store(words, CONTROL.stop, 1)
    Atomics.add(words, CONTROL.wake, 1)
    Atomics.notify(words, CONTROL.wake)
    const threads = this.#threads
    this.#threads = []
    await Promise.all(threads.map((t) => t.terminate()))
    if (this.#pending) this.#finished(new Error('[cpu] shutdown() was called while a plan was running'))
  }
}
