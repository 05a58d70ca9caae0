import type { Command } from 'commander'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { deviceOption, jsonOption, list, threadsOption } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'
import { EXIT } from '../command-line/run.ts'

interface ConformanceArguments extends DeviceArguments {
  goldens: string
  suite?: string[]
  only?: string[]
  hub?: string
  json?: boolean
}

export function registerConformance(program: Command): void {
  program
    .command('conformance')
    .description("runs golden cases: what Python's libraries computed, against what Tunesmith does")
    .requiredOption('--goldens <dir>', 'folder of the suites')
    .option('--suite <names>', 'only these folders of it, by comma (default: all there are)', list)
    .option('--only <globs>', 'only cases whose path under the suite begins like this; * crosses /', list)
    .option('--hub <dir>', 'folder of the real models, for the suite real')
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(conformance)
}

async function conformance(args: ConformanceArguments): Promise<void> {
  const { chooseSuites, runSuite } = await import('../conformance/suites.ts')
  const suites = await chooseSuites(args.goldens, args.suite)
  const device = suites.some(({ computes }) => computes) ? (await useDevice(args)).name : 'cpu'
  const wanted = casesLike(args.only)
  const report: Record<string, SuiteReport> = {}
  for (const suite of suites) {
    const counts: SuiteReport = { passed: 0, failed: 0, skipped: 0, failures: [] }
    const skips = new Map<string, number>()
    for await (const { case: name, status, reason = '' } of runSuite(suite, {
      device,
      hub: args.hub,
      wanted,
    })) {
      if (!wanted(name)) continue
      counts[status]++
      if (status === 'failed') {
        counts.failures.push({ case: name, reason })
        notice(`failed ${suite.name}/${name}: ${reason}`)
      } else if (status === 'skipped') skips.set(reason, (skips.get(reason) ?? 0) + 1)
    }
    report[suite.name] = counts
    for (const [reason, count] of skips) notice(`skipped ${count} of ${suite.name}: ${reason}`)
    if (suites.length > 1) notice(`${suite.name}: ${summary(counts)}`)
  }
  const total = sum(Object.values(report))
  const cases = total.passed + total.failed + total.skipped
  if (cases === 0) notice(`[conformance] nothing in ${args.goldens} matches the selection`)
  notice(summary(total))
  if (args.json) printJson(report)
  if (total.failed > 0 || cases === 0) process.exitCode = EXIT.failed
}

interface Counts {
  passed: number
  failed: number
  skipped: number
}

interface SuiteReport extends Counts {
  failures: { case: string; reason: string }[]
}

const summary = ({ passed, failed, skipped }: Counts): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

function sum(reports: readonly Counts[]): Counts {
  const total = { passed: 0, failed: 0, skipped: 0 }
  for (const report of reports)
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += report[key]
  return total
}

/** Whether a case's path begins as one of the globs says; without any, every case does. */
export function casesLike(globs: readonly string[] | undefined): (path: string) => boolean {
  if (!globs || globs.length === 0) return () => true
  const patterns = globs.map((glob) => {
    const escaped = glob.replace(/[.+^${}()|[\]\\]/g, '\\$&')
    return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}`)
  })
  return (path) => patterns.some((pattern) => pattern.test(path))
}
