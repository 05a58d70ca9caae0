/** Worker threads of the pool, in Node and in browsers. */

export interface Thread {
  post(message: unknown): void
  terminate(): Promise<void>
  /** Whether the thread keeps the process alive. */
  keepAlive(on: boolean): void
}

const isNode =
  typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string'

/** What a worker is to its own side, in both. */
export interface Port {
  post(message: unknown, transfer: ArrayBuffer[]): void
  onMessage(listener: (message: unknown) => void): void
}

export function createThread(
  onMessage: (message: unknown) => void,
  onError: (error: unknown) => void,
): Thread {
  if (isNode) {
    const { Worker } = process.getBuiltinModule('node:worker_threads')
    // Flags of the parent, test runners' and inspectors', are not for workers.
    const worker = new Worker(new URL('./pool-worker.ts', import.meta.url), { execArgv: [] })
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
  // The build renames the script; bundlers find it by this form.
  const worker = new Worker(new URL('./pool-worker.ts', import.meta.url), { type: 'module' })
  worker.onmessage = (event) => onMessage(event.data)
  worker.onerror = onError
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => worker.terminate(),
    keepAlive: () => undefined,
  }
}

/** The other end, inside a worker. */
export function ownPort(): Port {
  if (isNode) {
    const { parentPort } = process.getBuiltinModule('node:worker_threads')
    if (!parentPort) throw new Error('[TokenizerPool] this script runs in workers only')
    return {
      post: (message, transfer) => parentPort.postMessage(message, transfer),
      onMessage: (listener) => parentPort.on('message', listener),
    }
  }
  const scope = globalThis as unknown as {
    postMessage(message: unknown, transfer: ArrayBuffer[]): void
    onmessage: (event: { data: unknown }) => void
  }
  return {
    post: (message, transfer) => scope.postMessage(message, transfer),
    onMessage: (listener) => {
      scope.onmessage = (event) => listener(event.data)
    },
  }
}
