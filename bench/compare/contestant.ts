/** A process that measures when it is asked to: ours, or a peer's in JavaScript or Python. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Sample } from '../bench.ts'

export interface Contestant {
  /** How tables and charts call it. */
  readonly name: string
  /** What runs it: a part of our bench, a file of bench/peers, or a file of bench/python. */
  readonly kind: 'ours' | 'node' | 'python'
  readonly file: string
  readonly options?: Readonly<Record<string, unknown>>
  readonly env?: Readonly<Record<string, string>>
}

/** Lines of the protocol begin so; what libraries print besides is passed over. */
const MARK = '@bench '

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))

function commandOf({ kind, file }: Contestant, python: string): string[] {
  if (kind === 'ours') return [process.execPath, '--expose-gc', path('ours.ts'), file]
  if (kind === 'node') return [process.execPath, path(`../peers/${file}`)]
  return [python, path(`../python/${file}`)]
}

/** A started contestant. */
export class Running {
  /** Name and version, as it says itself. */
  readonly about: string
  readonly #child: ChildProcess
  readonly #next: () => Promise<Record<string, unknown>>

  private constructor(child: ChildProcess, about: string, next: () => Promise<Record<string, unknown>>) {
    this.#child = child
    this.about = about
    this.#next = next
  }

  /** @throws Error with the last line of its stderr where it does not come up */
  static async start(contestant: Contestant, python: string): Promise<Running> {
    const [command, ...args] = commandOf(contestant, python)
    const child = spawn(command, [...args, JSON.stringify(contestant.options ?? {})], {
      env: { ...process.env, ...contestant.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let errors = ''
    child.stderr!.on('data', (data) => {
      errors = (errors + data).slice(-4000)
    })
    // writing to one that has ended is reported by its exit
    child.stdin!.on('error', () => {})
    const ended = new Promise<never>((_, reject) => {
      child.on('error', reject)
      child.on('close', (code) => reject(new Error(lastLine(errors) ?? `ended with exit code ${code}`)))
    })
    ended.catch(() => {})
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
    const answer = async (): Promise<Record<string, unknown>> => {
      for (;;) {
        const { value, done } = await lines.next()
        if (done) return ended
        if (value.startsWith(MARK)) return JSON.parse(value.slice(MARK.length))
      }
    }
    const { ready } = await answer()
    return new Running(child, String(ready), answer)
  }

  async measure(what: object): Promise<Sample> {
    this.#child.stdin!.write(`${JSON.stringify(what)}\n`)
    return (await this.#next()) as Sample
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const closed = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.stdin!.end()
    await closed
  }
}

/** The line of a traceback that says what is wrong. */
function lastLine(errors: string): string | null {
  const lines = errors.split('\n').map((line) => line.trim())
  const named = lines.filter((line) => /^(\w*Error|\[\w+\])/.test(line))
  return named.at(-1) ?? lines.filter((line) => line !== '').at(-1) ?? null
}
