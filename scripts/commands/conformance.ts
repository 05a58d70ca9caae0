import type { Command } from 'commander'
import { InputError } from '../../hub/errors.ts'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { deviceOption, jsonOption, list, threadsOption } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'
import { EXIT } from '../command-line/run.ts'
import type { CaseResult } from '../conformance/safetensors.ts'
import { casesLike } from '../conformance/selection.ts'
import type { Suite } from '../conformance/suites.ts'

interface ConformanceArguments extends DeviceArguments {
  goldens: string
  suite?: string[]
  only?: string[]
  hub?: string
  browser?: boolean
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
    .option('--browser', 'run them in a page, in Chromium (from a clone: needs its development packages)')
    .addOption(jsonOption())
    .action(conformance)
}

async function conformance(args: ConformanceArguments): Promise<void> {
  const { chooseSuites } = await import('../conformance/suites.ts')
  const { localFolder } = await import('../../hub/index.ts')
  const suites = await chooseSuites(await localFolder(args.goldens), args.suite)
  const wanted = casesLike(args.only)
  await using runner = args.browser ? await inBrowser(args, suites) : await inNode(args, suites)
  const report: Record<string, SuiteReport> = {}
  for (const suite of suites) {
    const counts: SuiteReport = { passed: 0, failed: 0, skipped: 0, failures: [] }
    const skips = new Map<string, number>()
    for await (const { case: name, status, reason = '' } of runner.run(suite)) {
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

/** Where suites run. */
interface Runner extends AsyncDisposable {
  run(suite: Suite): AsyncIterable<CaseResult>
}

async function inNode(args: ConformanceArguments, suites: readonly Suite[]): Promise<Runner> {
  const { runSuite } = await import('../conformance/suites.ts')
  const device = suites.some(({ computes }) => computes) ? (await useDevice(args)).name : 'cpu'
  const options = { device, hub: args.hub, wanted: casesLike(args.only) }
  return { run: (suite) => runSuite(suite, options), [Symbol.asyncDispose]: async () => {} }
}

async function inBrowser(args: ConformanceArguments, suites: readonly Suite[]): Promise<Runner> {
  if (suites.some(({ name }) => name === 'real'))
    throw new InputError('[conformance] the suite real needs Node: leave out --browser, or name other suites')
  const { openConformancePage } = await import('../browser/conformance.ts')
  const { device, threads } = args
  const page = await openConformancePage(args.goldens, { device, threads, only: args.only })
  notice(`device: ${page.description}`)
  return page
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
