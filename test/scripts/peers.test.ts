/** The comparison with peers: who measures in turns, what is said of those that are not there, and what is written. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { median } from '../../bench/bench.ts'
import type { CaseResult } from '../../bench/compare/duel.ts'
import { compared, markdown } from '../../bench/compare/report.ts'
import type { Row } from '../../bench/compare/rows.ts'
import { runCommand } from './run-command.ts'

const script = fileURLToPath(new URL('../../bench/compare/peers.ts', import.meta.url))

const side = (name: string, values: number[]) => ({
  name,
  about: `${name} 1.0`,
  median: median(values),
  samples: values.map((value) => ({ value })),
})

const result = (ours: number[], peer: number[]): CaseResult => {
  const ratios = ours.map((x, i) => x / peer[i])
  return {
    case: '',
    ours: side('ours', ours),
    peer: side('torch', peer),
    ratio: { median: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) },
  }
}

const row = (lowerIsBetter: boolean, atLeast: number): Row => ({
  name: 'load',
  title: 'loading',
  unit: 's',
  lowerIsBetter,
  cases: [{ name: '', what: {} }],
  ours: [],
  peers: [],
  targets: [{ ours: 'ours', peer: 'torch', atLeast }],
})

describe('a row', () => {
  test('takes the ratio of neighbours, which wandering speed does not change', () => {
    // the machine slows down tenfold meanwhile, for both
    const [r] = compared(row(false, 2), [result([100, 50, 10], [40, 20, 4])])
    expect(r.timesAsFast).toBe(2.5)
    expect(r.target).toBe(2)
  })

  test('turns the ratio round where less is better', () => {
    const [r] = compared(row(true, 0.5), [result([2, 2, 2], [1, 1, 1])])
    expect(r.timesAsFast).toBe(0.5)
  })
})

test('the table says what is met, what is not, and who was absent', () => {
  const of = (atLeast: number) => ({
    row: 'load',
    date: '2026-01-01',
    title: `loading ${atLeast}`,
    unit: 's',
    lowerIsBetter: true,
    results: compared(row(true, atLeast), [result([2, 2, 2], [1, 1, 1])]),
  })
  const text = markdown({
    date: '2026-01-01',
    machine: { cpu: 'A processor', cores: '2 cores' },
    rounds: 3,
    inputs: 'Real models.',
    rows: [of(0.5), of(0.6)],
    limits: [{ name: 'overhead', value: 2, unit: 'ms', atMost: 1 }],
    absent: ['jax-js: not installed'],
  })
  expect(text).toMatch(/loading 0\.5.* met \|/)
  expect(text).toMatch(/loading 0\.6.* not met \|/)
  expect(text).toMatch(/overhead \| 2 ms \| 1 ms \| not met/)
  expect(text).toContain('jax-js: not installed')
})

describe('npm run bench:peers', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tunesmith-test-'))
  })
  afterAll(() => rm(folder, { recursive: true, force: true }))

  test('goes on without a peer that is not there, and says so', async () => {
    const args = [
      '--only',
      'threads-matmul,adamw',
      '--peers',
      'ours,torch copy',
      '--rounds',
      '1',
      '--seconds',
      '0.01',
    ]
    const { code, stdout, stderr } = await runCommand(
      [...args, '--python', 'no-such-python', '--output', folder, '--json'],
      { script },
    )
    expect(stderr).toMatch(/adamw: ours beside torch copy did not run: .*no-such-python.*pip install/)
    expect(code).toBe(0)
    const { rows, absent } = JSON.parse(stdout.trim().split('\n').at(-1)!)
    expect(rows.map((r: { row: string }) => r.row)).toEqual(['threads-matmul'])
    expect(rows[0].results[0].timesAsFast).toBeGreaterThan(0)
    expect(absent.join()).toContain('torch copy')
    const table = () => readFile(join(folder, 'peers.md'), 'utf8')
    expect(await table()).toContain('ours : ours, 1 thread')
    // what another run does not measure stays
    const other = await runCommand(['--only', 'hostoverhead', '--output', folder], { script })
    expect(other.code).toBe(0)
    expect(await table()).toMatch(/ours : ours, 1 thread[\s\S]*decode step of 30 layers/)
  })

  test('names the rows where none fits', async () => {
    const { code, stderr } = await runCommand(['--only', 'nonsense', '--output', folder], { script })
    expect(code).toBe(2)
    expect(stderr).toMatch(/nonsense fits none of matmul/)
  })
})
