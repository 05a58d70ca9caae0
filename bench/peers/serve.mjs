/**
 * The other end of bench/compare/contestant.ts: prints that it is ready, then answers every line of stdin, a JSON object, with
 * one sample. What libraries print for themselves has no such mark and is passed over.
 */
import { createInterface } from 'node:readline'

const MARK = '@bench '

const send = (message) => process.stdout.write(`${MARK}${JSON.stringify(message)}\n`)

/** @param about name and version @param measure gives `{ value, ... }` for a case */
export async function serve(about, measure) {
  send({ ready: about })
  for await (const line of createInterface({ input: process.stdin })) send(await measure(JSON.parse(line)))
  process.exit(0)
}

/** What the contestant was started with. */
export const options = JSON.parse(process.argv[2] ?? '{}')

/** Median seconds of a function, run once unmeasured and then for about as long as asked, at least 3 times. */
export async function time(run, seconds) {
  await run()
  const times = []
  const end = performance.now() + seconds * 1000
  while (times.length < 3 || performance.now() < end) {
    const start = performance.now()
    await run()
    times.push((performance.now() - start) / 1000)
  }
  return times.sort((a, b) => a - b)[times.length >> 1]
}

/** Random numbers for a matrix. */
export const random = (count) => Float32Array.from({ length: count }, () => Math.random() - 0.5)
