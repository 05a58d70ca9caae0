import type { Command } from 'commander'
import { jsonOption } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'
import { EXIT } from '../command-line/run.ts'
import type { Check } from '../doctor/check.ts'

export function registerDoctor(program: Command): void {
  program
    .command('doctor')
    .description(
      'looks at runtime, processor, GPU and cache, checks that devices compute right, and says what to mend',
    )
    .addOption(jsonOption())
    .action(doctor)
}

const MARKS: Record<Check['status'], string> = {
  fine: 'ok',
  note: 'note',
  problem: 'problem',
  broken: 'BROKEN',
}

async function doctor({ json }: { json?: boolean }): Promise<void> {
  const machine = await import('../doctor/machine.ts')
  const { checkBlas } = await import('../doctor/blas.ts')
  const { checkParity } = await import('../doctor/parity.ts')
  const checks: Check[] = []
  const report = (check: Check) => {
    checks.push(check)
    notice(`${MARKS[check.status].padEnd(8)} ${check.name}: ${check.detail}`)
    if (check.advice) notice(`         -> ${check.advice}`)
  }
  report(machine.checkRuntime())
  report(machine.checkSimd())
  report(machine.checkThreads())
  report(await checkBlas())
  report(await checkParity('cpu'))
  const { check, found } = await machine.checkAdapter()
  report(check)
  if (found) report(await checkParity('webgpu', { adapter: found }))
  report(await machine.checkCache())
  if (json) printJson({ checks })
  if (checks.some(({ status }) => status === 'broken')) process.exitCode = EXIT.failed
}
