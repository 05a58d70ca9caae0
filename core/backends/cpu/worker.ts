/** The script of a worker thread, in Node and in browsers: one message with the memory, then work until it is told to stop. */
import type { AddressBits } from './assembler.ts'
import { TeamThread } from './team.ts'

export interface WorkerStart {
  readonly memory: WebAssembly.Memory
  readonly addressBits: AddressBits
  /** 1 and up. */
  readonly index: number
  /** Whether this worker leads whole programs, for a caller that only waits. */
  readonly leads: boolean
}

/** What a leading worker answers when a program is done: null, or what failed. */
export interface LeadDone {
  readonly error: string | null
}

type Post = (message: LeadDone) => void

function start({ memory, addressBits, index, leads }: WorkerStart, post: Post): void {
  const onLead = (error: unknown) => post({ error: error === null ? null : String(error) })
  new TeamThread(memory, addressBits, index, true).serve(leads ? onLead : null)
}

const isNode =
  typeof (globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node === 'string'

if (isNode) {
  // without waiting: bundlers make scripts of workers that know no await outside of functions
  const { parentPort } = process.getBuiltinModule('node:worker_threads')
  // after its last message the port must not keep the worker from ending
  parentPort?.once('message', (message: WorkerStart) => start(message, (m) => parentPort.postMessage(m)))
} else {
  const scope = globalThis as unknown as {
    onmessage: ((event: { data: WorkerStart }) => void) | null
    postMessage: Post
  }
  scope.onmessage = (event) => start(event.data, (m) => scope.postMessage(m))
}
