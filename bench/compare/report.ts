/** The table of a comparison, as Markdown. */
import { round } from '../bench.ts'
import type { CaseResult } from './duel.ts'
import type { Row, Target } from './rows.ts'

/** One duel of a row that was fought, case by case. */
export interface RowResult {
  readonly row: string
  readonly date: string
  readonly title: string
  readonly unit: string
  readonly lowerIsBetter: boolean
  readonly results: readonly Compared[]
}

export interface Compared extends CaseResult {
  /** How many times as fast as the peer: over 1 where we win. */
  readonly timesAsFast: number
  readonly target: number | null
}

export interface Limit {
  readonly name: string
  readonly value: number
  readonly unit: string
  readonly atMost: number
}

export interface Comparison {
  readonly date: string
  readonly machine: Readonly<Record<string, string | number>>
  readonly rounds: number
  readonly inputs: string
  readonly rows: readonly RowResult[]
  /** What has no peer, only a bound. */
  readonly limits: readonly Limit[]
  /** Who could not take part, and why. */
  readonly absent: readonly string[]
}

export function compared(row: Row, results: readonly CaseResult[]): Compared[] {
  return results.map((result) => {
    const { ratio } = result
    const isFor = (t: Target) =>
      t.ours === result.ours.name &&
      t.peer === result.peer.name &&
      (t.case ?? row.cases[0].name) === result.case
    return {
      ...result,
      timesAsFast: row.lowerIsBetter ? 1 / ratio.median : ratio.median,
      target: row.targets.find(isFor)?.atLeast ?? null,
    }
  })
}

const verdict = (isMet: boolean): string => (isMet ? 'met' : 'not met')

/** Details of samples that belong beside the numbers. */
function notes({ ours, peer }: CaseResult): string {
  const parts: string[] = []
  const memory = (side: typeof ours) => side.samples.at(-1)?.peakBytes as number | undefined
  if (memory(ours) && memory(peer))
    parts.push(`peak memory ${megabytes(memory(ours)!)} beside ${megabytes(memory(peer)!)} MB`)
  const gbs = ours.samples.at(-1)?.weightsGBs as number | undefined
  if (gbs) parts.push(`${round(gbs, 3)} GB/s of weights`)
  const first = ours.samples.at(-1)?.firstTokenSeconds as number | undefined
  if (first) parts.push(`first token ${round(first, 3)} s later`)
  return parts.join('; ')
}

const megabytes = (bytes: number): number => Math.round(bytes / 1e6)

export function markdown(c: Comparison): string {
  const lines = [
    '# Beside the peers',
    '',
    `${c.date}, ${Object.values(c.machine).join(', ')}. ${c.inputs} Ours and the peer measured in turns, ${c.rounds} times each;`,
    'figures are medians, ratios those of neighbouring measurements (median, with the least and the most).',
    'Over 1 we are faster. Absolute figures wander with the machine: compare within a row only.',
    '',
    '| measure | who | ours | peer | ratio | at least | |',
    '|---|---|--:|--:|--:|--:|---|',
  ]
  for (const row of c.rows)
    for (const r of row.results) {
      const spread = [r.ratio.least, r.ratio.most]
        .map((x) => (row.lowerIsBetter ? 1 / x : x))
        .sort((a, b) => a - b)
      const title = row.results.length > 1 && r.case ? `${row.title}: ${r.case}` : row.title
      lines.push(
        `| ${title}, ${row.unit} | ${r.ours.name} : ${r.peer.name} | ${round(r.ours.median, 3)} | ${round(r.peer.median, 3)} | ${round(r.timesAsFast, 3)} (${round(spread[0], 3)} to ${round(spread[1], 3)}) | ${r.target === null ? '' : round(r.target, 2)} | ${[r.target === null ? '' : verdict(r.timesAsFast >= r.target), notes(r), row.date === c.date ? '' : row.date].filter(Boolean).join('; ')} |`,
      )
    }
  if (c.limits.length) {
    lines.push('', '| measure of ours alone | value | at most | |', '|---|--:|--:|---|')
    for (const l of c.limits)
      lines.push(
        `| ${l.name} | ${round(l.value, 3)} ${l.unit} | ${l.atMost} ${l.unit} | ${verdict(l.value <= l.atMost)} |`,
      )
  }
  const versions = new Set(c.rows.flatMap((row) => row.results.flatMap((r) => [r.ours.about, r.peer.about])))
  if (versions.size) lines.push('', `Versions: ${[...versions].join(', ')}.`)
  if (c.absent.length) lines.push('', 'Not compared:', '', ...c.absent.map((line) => `- ${line}`))
  return `${lines.join('\n')}\n`
}
