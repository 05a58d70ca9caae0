/**
 * `npm run fuzz`: feeds damaged copies of real files to every reader of files, each in a process with a watchdog, for ten
 * minutes or `--seconds`. A reader must give an error of its own or an answer, soon, and without memory beyond that of the
 * file times a small number. What it finds is kept in out/fuzz with its seed, and can be run again.
 */
import { spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { Command, Option } from 'commander'
import { mutant } from './fuzz/mutate.ts'
import { seedFiles, targets } from './fuzz/targets.ts'

const child = fileURLToPath(new URL('./fuzz/child.ts', import.meta.url))
const output = fileURLToPath(new URL('../out/fuzz', import.meta.url))

/** A reader that takes longer than this for one of these small files hangs. */
const WATCHDOG_MS = 20_000
const HANGS = 'hangs'
const PARALLEL = 2
/** A target that fails again and again need not be asked any more. */
const MAX_FINDINGS = 5

interface Finding {
  target: string
  seed: number
  reason: string
}

/** Runs a target from `first` on until `deadline`, or `count` inputs; ends at the first finding. */
function runChild(
  target: string,
  first: number,
  deadline: number,
  count?: number,
): Promise<{ inputs: number; finding?: Finding }> {
  const args = [
    '--max-old-space-size=512',
    child,
    target,
    String(first),
    ...(count === undefined ? [] : [String(count)]),
  ]
  const running = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let seed = first
  let inputs = 0
  let finding: Finding | undefined
  let errors = ''
  let ending = false
  const end = () => {
    ending = true
    running.kill('SIGKILL')
  }
  const find = (reason: string) => {
    finding ??= { target, seed, reason }
    end()
  }
  let watchdog = setTimeout(() => find(HANGS), 3 * WATCHDOG_MS) // starting takes its time
  running.stderr.on('data', (data) => {
    errors = (errors + String(data)).slice(-2000)
  })
  createInterface(running.stdout).on('line', (line) => {
    if (ending) return
    clearTimeout(watchdog)
    watchdog = setTimeout(() => find(HANGS), WATCHDOG_MS)
    if (line === 'ok') {
      inputs++
      if (Date.now() > deadline) end()
    } else if (line.startsWith('bad ')) find(JSON.parse(line.slice(4)) as string)
    else seed = Number(line)
  })
  return new Promise((resolve) => {
    running.on('close', (code) => {
      clearTimeout(watchdog)
      if (!ending && code !== 0) finding = { target, seed, reason: `the process died: ${errors}` }
      resolve(finding ? { inputs, finding } : { inputs })
    })
  })
}

async function keep({ target, seed, reason }: Finding): Promise<void> {
  await mkdir(output, { recursive: true })
  const path = join(output, `${target}-${seed}`)
  await writeFile(`${path}.bin`, mutant(await seedFiles(targets[target]), seed))
  await writeFile(`${path}.txt`, `${reason}\n`)
  console.error(`${target}, seed ${seed}: ${reason.split('\n').slice(0, 4).join('\n  ')}`)
  console.error(`  kept in ${path}.bin; again: npm run fuzz -- --target ${target} --seed ${seed} --count 1`)
}

async function fuzz(target: string, first: number, seconds: number, count?: number): Promise<number> {
  const deadline = Date.now() + seconds * 1000
  let findings = 0
  let inputs = 0
  for (let seed = first; Date.now() < deadline && findings < MAX_FINDINGS; ) {
    const result = await runChild(target, seed, deadline, count)
    inputs += result.inputs
    if (!result.finding) break
    // on a machine that has much else to do, a hang counts if it hangs again
    if (
      result.finding.reason === HANGS &&
      !(await runChild(target, result.finding.seed, Infinity, 1)).finding
    ) {
      seed = result.finding.seed + 1
      continue
    }
    findings++
    await keep(result.finding)
    seed = result.finding.seed + 1
    if (count !== undefined) break
  }
  console.error(`${target}: ${inputs} inputs, ${findings} findings`)
  return findings
}

const program = new Command()
  .name('fuzz')
  .option('--seconds <n>', 'for all targets together', Number, 600)
  .addOption(new Option('--target <names...>', 'only these').choices(Object.keys(targets)))
  .option(
    '--seed <n>',
    'of the first input; default: another every day',
    Number,
    Math.floor(Date.now() / 86_400_000) * 1e6,
  )
  .option('--count <n>', 'inputs of each target, in place of a time', Number)
  .parse()
const { seconds, target, seed, count } = program.opts<{
  seconds: number
  target?: string[]
  seed: number
  count?: number
}>()
const queue = target ?? Object.keys(targets)
const share = (seconds * Math.min(PARALLEL, queue.length)) / queue.length
const found: number[] = []
const begun = [...queue]
await Promise.all(
  Array.from({ length: PARALLEL }, async () => {
    for (let name = begun.shift(); name !== undefined; name = begun.shift())
      found.push(await fuzz(name, seed, count === undefined ? share : 3600, count))
  }),
)
const findings = found.reduce((sum, n) => sum + n, 0)
console.error(findings === 0 ? 'fuzz: nothing found' : `fuzz: ${findings} findings, kept in out/fuzz`)
process.exitCode = findings === 0 ? 0 : 1
