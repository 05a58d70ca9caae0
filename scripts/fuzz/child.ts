/**
 * Feeds mutants to one target, in a process of its own: `node child.ts TARGET FIRST_SEED [COUNT]`. Writes the seed of each to
 * stdout before it is run, since a process that hangs or dies can say nothing more, then `ok`, or `bad` and the reason.
 */
import { writeSync } from 'node:fs'
import { countAllocations } from './allocations.ts'
import { mutant } from './mutate.ts'
import { seedFiles, targets } from './targets.ts'

/** Memory that a reader may take: so much for every byte of the file, and so much in any case. */
const PER_BYTE = 64
const BASE = 96 * 1024 * 1024

const [, , name, first, count = 'Infinity'] = process.argv
const target = targets[name]
const files = await seedFiles(target)
const say = (line: string) => writeSync(1, `${line}\n`)

/** Errors that the library means: one line that begins with the part it comes from; the header's gets its file's name later. */
function isMeant(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (name === 'header') return error.name === 'SafetensorsError' && !error.message.includes('\n')
  return /^\[\w[^\n]*$/.test(error.message)
}

const peak = () => process.resourceUsage().maxRSS * 1024

for (const file of files) await target.run(file).catch(() => {}) // what is loaded at first use is not the file's
let before = peak()
for (let seed = Number(first), i = 0; i < Number(count); seed++, i++) {
  const bytes = mutant(files, seed)
  say(`${seed}`)
  const limit = BASE + PER_BYTE * bytes.length
  const allocated = countAllocations(limit)
  let reason = ''
  try {
    await target.run(bytes)
  } catch (error) {
    if (!isMeant(error)) reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const largest = allocated()
  const grown = peak() - before
  if (largest > limit) reason = `an array of ${largest} bytes for a file of ${bytes.length}`
  else if (grown > limit) reason = `memory grew by ${grown} bytes for a file of ${bytes.length}`
  before = peak()
  say(reason ? `bad ${JSON.stringify(reason)}` : 'ok')
}
