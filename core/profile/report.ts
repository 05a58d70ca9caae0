/** A profile's sums, as a table and as a trace. */
import type { KernelEvent, PlanEvent, Recorder } from './recorder.ts'

export interface ProfileRow {
  /** The op (fused ones joined), or the module's path. */
  readonly name: string
  readonly calls: number
  readonly milliseconds: number
  readonly flops: number
  readonly bytes: number
  readonly gflopsPerSecond: number
  readonly gigabytesPerSecond: number
}

export interface ModuleRow extends ProfileRow {
  /** The class of the module that the program called, below which `name` is a path; its own row has its class as name. */
  readonly root: string
  /** Of `milliseconds`, which include the modules below: in its own kernels, and in those of its gradients. */
  readonly ownMilliseconds: number
  readonly backwardMilliseconds: number
}

interface Sum {
  calls: number
  milliseconds: number
  flops: number
  bytes: number
  own: number
  backward: number
}

const OUTSIDE = '(outside modules)'
/** Events kept for the trace; sums go on. */
const MOST_EVENTS = 200_000

const add = (sums: Map<string, Sum>, name: string, e: KernelEvent, isOwn: boolean): void => {
  let sum = sums.get(name)
  if (!sum) sums.set(name, (sum = { calls: 0, milliseconds: 0, flops: 0, bytes: 0, own: 0, backward: 0 }))
  sum.calls++
  sum.milliseconds += e.milliseconds
  sum.flops += e.flops
  sum.bytes += e.bytes
  if (isOwn) sum.own += e.milliseconds
  if (e.origin?.pass === 'backward') sum.backward += e.milliseconds
}

/** Every path above and including one: "a.b.c" has "", "a", "a.b" and "a.b.c". */
function paths(path: string): string[] {
  const parts = path === '' ? [] : path.split('.')
  return [...parts.keys(), parts.length].map((n) => parts.slice(0, n).join('.'))
}

/** Keys of modules: no class has a colon in its name. */
const keyOf = (root: string, path: string): string => `${root}:${path}`

const rowOf = ([name, s]: [string, Sum]): Omit<ModuleRow, 'root'> => ({
  name,
  calls: s.calls,
  milliseconds: s.milliseconds,
  flops: s.flops,
  bytes: s.bytes,
  gflopsPerSecond: s.milliseconds > 0 ? s.flops / s.milliseconds / 1e6 : 0,
  gigabytesPerSecond: s.milliseconds > 0 ? s.bytes / s.milliseconds / 1e6 : 0,
  ownMilliseconds: s.own,
  backwardMilliseconds: s.backward,
})

export class Profile implements Recorder {
  /** Of the profiled function, by the clock. */
  milliseconds = 0
  /** In kernels. */
  kernelMilliseconds = 0
  plans = 0
  cacheHits = 0
  /** Kernels that ran after the trace was full. */
  eventsDropped = 0
  readonly #device: string
  readonly #origin = performance.now()
  readonly #ops = new Map<string, Sum>()
  readonly #modules = new Map<string, Sum>()
  readonly #kernels: KernelEvent[] = []
  readonly #plans: PlanEvent[] = []

  constructor(device: string) {
    this.#device = device
  }

  /** @internal */
  kernel(e: KernelEvent): void {
    this.kernelMilliseconds += e.milliseconds
    add(this.#ops, e.label, e, true)
    const { root = '', module = '' } = e.origin ?? {}
    for (const path of paths(module)) add(this.#modules, keyOf(root, path), e, path === module)
    if (this.#kernels.length < MOST_EVENTS) this.#kernels.push(e)
    else this.eventsDropped++
  }

  /** @internal */
  plan(e: PlanEvent): void {
    this.plans++
    if (e.cacheHit) this.cacheHits++
    if (this.#plans.length < MOST_EVENTS) this.#plans.push(e)
  }

  /** Time, calls and work by op, longest first. */
  get byOp(): ProfileRow[] {
    const rows = [...this.#ops].map((entry) => {
      const { ownMilliseconds, backwardMilliseconds, ...row } = rowOf(entry)
      return row
    })
    return rows.sort((a, b) => b.milliseconds - a.milliseconds)
  }

  /**
   * The same by module, each after the one that holds it; a module's time includes those below it. A fused kernel belongs to
   * the module that recorded its result.
   */
  get byModule(): ModuleRow[] {
    const sorted = [...this.#modules].sort(([a], [b]) => a.localeCompare(b, 'en', { numeric: true }))
    return sorted.map(([key, sum]) => {
      const [root, path] = key.split(':')
      return { ...rowOf([path || root || OUTSIDE, sum]), root }
    })
  }

  /** For chrome://tracing and ui.perfetto.dev: a JSON text. */
  chromeTrace(): string {
    const at = (time: number) => Math.round((time - this.#origin) * 1e3)
    const process = { pid: 1 }
    const event = (tid: number, name: string, e: { start: number; milliseconds: number }, args: object) => ({
      ...process,
      tid,
      ph: 'X',
      name,
      ts: at(e.start),
      dur: Math.round(e.milliseconds * 1e3),
      args,
    })
    const named = (name: string, tid: number, value: string) => ({
      ...process,
      tid,
      ph: 'M',
      name,
      args: { name: value },
    })
    const traceEvents = [
      named('process_name', 0, 'tunesmith'),
      named('thread_name', 1, 'plans'),
      named('thread_name', 2, `kernels: ${this.#device}`),
      ...this.#plans.map((e) =>
        event(1, `plan of ${e.kernels} kernels`, e, { cache: e.cacheHit ? 'hit' : 'miss' }),
      ),
      ...this.#kernels.map((e) =>
        event(2, e.label, e, {
          module: e.origin?.module ?? '',
          pass: e.origin?.pass ?? '',
          flops: e.flops,
          bytes: e.bytes,
        }),
      ),
    ]
    return JSON.stringify({ displayTimeUnit: 'ms', traceEvents })
  }

  /** Both tables. */
  toString(): string {
    const { milliseconds, kernelMilliseconds, plans, cacheHits } = this
    const share = milliseconds > 0 ? Math.round((100 * kernelMilliseconds) / milliseconds) : 0
    const dropped = this.eventsDropped > 0 ? `; ${this.eventsDropped} kernels are not in the trace` : ''
    return [
      `${this.#device}: ${milliseconds.toFixed(1)} ms, ${kernelMilliseconds.toFixed(1)} in kernels (${share} %), ${plans} plans, ${cacheHits} of them cached${dropped}`,
      '',
      ...table(['op', ...COLUMNS], this.byOp.slice(0, MOST_ROWS), kernelMilliseconds, (row) => row.name),
      '',
      ...table(
        ['module', ...COLUMNS, 'own ms', 'backward ms'],
        this.byModule.filter((row) => row.milliseconds >= kernelMilliseconds / 200),
        kernelMilliseconds,
        (row) => (row.name === row.root || row.root === '' ? row.name : `  ${indented(row.name)}`),
        (row) => [row.ownMilliseconds.toFixed(2), row.backwardMilliseconds.toFixed(2)],
      ),
    ].join('\n')
  }
}

const indented = (path: string): string =>
  '  '.repeat(path.split('.').length - 1) + path.slice(path.lastIndexOf('.') + 1)

const COLUMNS = ['ms', '%', 'calls', 'GFLOP', 'GFLOP/s', 'GB/s']
const MOST_ROWS = 30
const NAME_WIDTH = 52

function table<R extends ProfileRow>(
  head: readonly string[],
  rows: readonly R[],
  total: number,
  nameOf: (row: R) => string,
  more: (row: R) => string[] = () => [],
): string[] {
  const short = (name: string) => (name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 3)}...` : name)
  const cells = rows.map((row) => [
    short(nameOf(row)),
    row.milliseconds.toFixed(2),
    total > 0 ? ((100 * row.milliseconds) / total).toFixed(1) : '',
    String(row.calls),
    (row.flops / 1e9).toFixed(2),
    row.gflopsPerSecond.toFixed(1),
    row.gigabytesPerSecond.toFixed(1),
    ...more(row),
  ])
  const all = [head, ...cells]
  const widths = head.map((_, i) => Math.max(...all.map((line) => line[i].length)))
  return all.map((line) =>
    line
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])))
      .join('  ')
      .trimEnd(),
  )
}
