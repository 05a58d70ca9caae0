/** `npm run bench:peers`: our bench beside its peers, in turns; writes a table and a chart into bench/results. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { InputError } from '../../hub/errors.ts'
import { jsonOption, list, positiveInteger, positiveNumber } from '../../scripts/command-line/options.ts'
import { notice, printJson } from '../../scripts/command-line/output.ts'
import { runCommandLine } from '../../scripts/command-line/run.ts'
import { round } from '../bench.ts'
import { chart } from './chart.ts'
import { type Contestant, Running } from './contestant.ts'
import { duel } from './duel.ts'
import { makeInputs, planInputs } from './inputs.ts'
import { type Comparison, compared, type Limit, markdown, type RowResult } from './report.ts'
import { allRows, type Row } from './rows.ts'

interface Arguments {
  only?: string[]
  peers?: string[]
  models?: string
  data?: string
  python: string
  rounds: number
  seconds: number
  output: string
  json?: boolean
}

const RESULTS = fileURLToPath(new URL('../results', import.meta.url))
const HOST_OVERHEAD = 'hostoverhead'

const INSTALL: Record<Contestant['kind'], string> = {
  ours: '',
  node: 'npm ci --prefix bench/peers',
  python: 'pip install -r bench/python/requirements.txt, and name its interpreter with --python',
}

process.exitCode = await runCommandLine(process.argv, [register])

function register(program: Command): void {
  program
    .name('bench:peers')
    .description('measures beside the peers, in turns, and writes a table and a chart')
    .option(
      '--only <rows>',
      'only these rows: matmul, finetune, embed, generate, ... (beginnings of names)',
      list,
    )
    .option('--peers <names>', 'only these peers (beginnings of names)', list)
    .option('--models <folder>', 'real models, laid out as on the Hub (default: random weights)')
    .option('--data <folder>', "SST-2's train.tsv and dev.tsv (default: random words)")
    .option('--python <path>', 'interpreter with torch and transformers', 'python3')
    .option('--rounds <n>', 'measurements of each side', positiveInteger, 5)
    .option(
      '--seconds <x>',
      'of one measurement of a kernel; larger parts take what they take',
      positiveNumber,
      1,
    )
    .option('--output <folder>', 'where the table and the chart go', RESULTS)
    .addOption(jsonOption())
    .action(compare)
}

async function compare(args: Arguments): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'tunesmith-peers-'))
  try {
    const absent: string[] = []
    const say = (line: string) => {
      if (absent.includes(line)) return
      absent.push(line)
      notice(line)
    }
    const isWanted = (name: string) => !args.only || args.only.some((start) => name.startsWith(start))
    const where = { ...args, scratch }
    const inputs = planInputs(where)
    const all = allRows(inputs)
    const rows = all.filter(({ name }) => isWanted(name))
    if (rows.length === 0 && !isWanted(HOST_OVERHEAD))
      throw new InputError(
        `[bench:peers] --only ${args.only} fits none of ${all.map(({ name }) => name)}, ${HOST_OVERHEAD}`,
      )
    await makeInputs(where, inputs, rows)
    if (!inputs.blas) say('ours + BLAS: no system BLAS is in use here (npm run doctor says how to get one)')
    const results: RowResult[] = []
    for (const row of rows) results.push(await compareRow(row, args, say))
    const limits = isWanted(HOST_OVERHEAD) ? await hostOverhead(args) : []
    const comparison: Comparison = {
      date: today(),
      machine: machine(),
      rounds: args.rounds,
      inputs: `${args.models ? 'Real models' : 'Models with random weights'}, ${args.data ? 'sentences of SST-2' : 'sentences of random words'}.`,
      rows: results.filter((row) => row.results.length > 0),
      limits,
      absent,
    }
    await write(args.output, await withEarlier(args.output, comparison, all), say)
    if (args.json) printJson(comparison)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

async function compareRow(row: Row, args: Arguments, say: (line: string) => void): Promise<RowResult> {
  const results = []
  for (const peer of row.peers) {
    if (args.peers && !args.peers.some((start) => peer.name.startsWith(start))) continue
    for (const ours of row.ours) {
      try {
        const fought = compared(row, await duel({ ours, peer, cases: row.cases }, args.rounds, args.python))
        for (const r of fought)
          notice(
            `${row.name}${r.case ? ` ${r.case}` : ''}: ${ours.name} ${round(r.ours.median, 3)}, ${peer.name} ${round(r.peer.median, 3)} ${row.unit}: ${round(r.timesAsFast, 3)}x${r.target === null ? '' : ` (at least ${round(r.target, 2)})`}`,
          )
        results.push(...fought)
      } catch (error) {
        say(
          `${row.name}: ${ours.name} beside ${peer.name} did not run: ${(error as Error).message} (${INSTALL[peer.kind]})`,
        )
      }
    }
  }
  return {
    row: row.name,
    date: today(),
    title: row.title,
    unit: row.unit,
    lowerIsBetter: row.lowerIsBetter ?? false,
    results,
  }
}

/** Milliseconds that no kernel takes. */
async function hostOverhead({ python }: Arguments): Promise<Limit[]> {
  const running = await Running.start(
    { name: 'ours', kind: 'ours', file: HOST_OVERHEAD, env: { TUNESMITH_BLAS: 'off' } },
    python,
  )
  const sample = await running.measure({})
  await running.end()
  const limit = (name: string, key: string, atMost: number): Limit => ({
    name,
    value: sample[key] as number,
    unit: 'ms',
    atMost,
  })
  const limits = [
    limit('decode step of 30 layers beside its kernels, plan known', 'value', 1),
    limit('training step of 6 layers at a new length: graph, plan and schedule', 'training', 15),
  ]
  for (const l of limits) notice(`${l.name}: ${round(l.value, 3)} ${l.unit} (at most ${l.atMost})`)
  return limits
}

function today(): string {
  return new Date().toISOString().slice(0, 10)
}

function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: `${availableParallelism()} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    node: `Node ${process.versions.node}`,
  }
}

/** Rows of an earlier run on this machine that this one did not measure stay in the table, each with its date. */
async function withEarlier(folder: string, now: Comparison, all: readonly Row[]): Promise<Comparison> {
  const text = await readFile(join(folder, 'peers.json'), 'utf8').catch(() => null)
  const before = text === null ? null : (JSON.parse(text) as Comparison)
  if (
    !before ||
    JSON.stringify(before.machine) !== JSON.stringify(now.machine) ||
    before.inputs !== now.inputs
  )
    return now
  const measured = new Map([...before.rows, ...now.rows].map((row) => [row.row, row]))
  const order = all.map(({ name }) => name)
  const rows = [...measured.values()].sort((a, b) => order.indexOf(a.row) - order.indexOf(b.row))
  return { ...now, rows, limits: now.limits.length ? now.limits : before.limits }
}

async function write(folder: string, comparison: Comparison, say: (line: string) => void): Promise<void> {
  await mkdir(folder, { recursive: true })
  const picture = comparison.rows.length > 0 ? chart(comparison) : null
  if (!picture && comparison.rows.length > 0)
    say('the chart: echarts is not installed (npm ci --prefix bench/peers)')
  await writeFile(join(folder, 'peers.json'), `${JSON.stringify(comparison, null, 1)}\n`)
  await writeFile(join(folder, 'peers.md'), markdown(comparison))
  if (picture) await writeFile(join(folder, 'peers.svg'), picture)
  notice(`wrote ${join(folder, `peers.{md,json${picture ? ',svg' : ''}}`)}`)
}
