/** Where the time of a piece of a program goes, by op and by module. */
import { defaultBackend } from '../device.ts'
import { onNode } from '../tensor.ts'
import { setRecorder } from './recorder.ts'
import { Profile } from './report.ts'
import { noteOrigin, setProfiling } from './scope.ts'

export interface ProfileOptions {
  /** A file for a trace that chrome://tracing and ui.perfetto.dev show. Node only: elsewhere take `chromeTrace()`. */
  readonly trace?: string
  /** False: no table on stderr. */
  readonly print?: boolean
}

let isObserving = false
let isRunning = false

/**
 * Runs `fn` and says where its time went: for every op and module the time in kernels, calls, arithmetic and bytes; prints
 * two tables. Only what is evaluated while `fn` runs counts, so read or await the results in it. On the cpu and the
 * reference kernels are timed one by one; on WebGPU whole plans are, from when they are queued until they are done, as with
 * `mainThread: false`. Run `fn` once before: a first run also compiles. Profiling adds the planning of every
 * evaluation to the total, not to the kernels.
 *
 * ```ts
 * const { byOp } = await profile(() => model(x).data())
 * ```
 * @throws while another profile runs, and where `trace` cannot be written
 */
export async function profile(fn: () => unknown, options: ProfileOptions = {}): Promise<Profile> {
  if (isRunning) throw new Error('[profile] another profile is running: await it first')
  isRunning = true
  try {
    return await measure(fn, options)
  } finally {
    isRunning = false
  }
}

async function measure(fn: () => unknown, options: ProfileOptions): Promise<Profile> {
  const fs = options.trace === undefined ? null : await fileSystem()
  const backend = await defaultBackend()
  const made = new Profile(backend.description)
  if (!isObserving) onNode(noteOrigin)
  isObserving = true
  setProfiling(true)
  setRecorder(made)
  const start = performance.now()
  try {
    await fn()
  } finally {
    made.milliseconds = performance.now() - start
    setRecorder(null)
    setProfiling(false)
  }
  if (options.print !== false) console.error(made.toString())
  if (fs) {
    const beside = `${options.trace}.${process.pid}.tmp`
    await fs.writeFile(beside, made.chromeTrace())
    await fs.rename(beside, options.trace!)
  }
  return made
}

async function fileSystem(): Promise<typeof import('node:fs/promises')> {
  if (!(globalThis as { process?: { versions?: { node?: string } } }).process?.versions?.node)
    throw new Error('[profile] a trace file needs Node: use the chromeTrace() of the result')
  return import('node:fs/promises')
}
