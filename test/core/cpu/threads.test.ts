/** Worker threads: same bits as on one thread, no leaks, and processes that end. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, describe, expect, it } from 'vitest'
import { type CpuBackend, type CpuOptions, createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { acc, load } from '../../../core/expr.ts'
import { callCases, type KernelCase, loopCases, PlanBuilder, Random, runCase } from '../../helpers/kernels.ts'

const started: CpuBackend[] = []
const backend = (options: CpuOptions): CpuBackend => {
  const cpu = createCpuBackend(options)
  started.push(cpu)
  return cpu
}
afterAll(async () => {
  await Promise.all(started.map((b) => b.shutdown()))
})

const x = load(0, 'f32')

/** Work that is large enough to be shared unasked: a map, a sum of rows, a sum of everything, a sum of columns. */
function largeCase(): KernelCase {
  const b = new PlanBuilder()
  const [rows, columns] = [1500, 301]
  const input = b.input('float32', [rows, columns], new Random(1).floats(rows * columns))
  const flat = { ...input, shape: [rows * columns], strides: [1] }
  const mapped = b.temp('float32', [rows, columns])
  const loads = [mapped]
  b.map([rows * columns], [[{ ...mapped, shape: flat.shape, strides: [1] }, x.erf().exp()]], {
    loads: [flat],
  })
  b.reduce(
    'sum',
    [rows, columns],
    1,
    x,
    [[{ ...b.output('float32', [rows]), strides: [1, 0] }, acc('f32')]],
    { loads },
  )
  b.reduce('sum', [rows * columns], 1, x, [[{ ...b.output('float32', []), strides: [0] }, acc('f32')]], {
    loads: [{ ...mapped, strides: [1] }],
  })
  b.reduce(
    'sum',
    [columns, rows],
    1,
    x,
    [[{ ...b.output('float32', [columns]), strides: [1, 0] }, acc('f32')]],
    {
      loads: [{ ...mapped, strides: [1, columns] }],
    },
  )
  return b.build('large')
}

const TEAMS: Record<string, CpuOptions> = {
  'three threads': { threads: 3, shareAlways: true },
  'two threads, off the calling one': { threads: 2, mainThread: false, shareAlways: true },
}

for (const [name, options] of Object.entries(TEAMS))
  describe(`cpu with ${name}`, () => {
    it('gives the same bits as one thread', async () => {
      const one = backend({ threads: 1 })
      const many = backend(options)
      await many.startWorkers()
      for (const c of [...loopCases(), ...callCases(), largeCase()])
        expect(await runCase(many, c), c.name).toEqual(await runCase(one, c))
    }, 60_000)
  })

describe('cpu threads', () => {
  it('share a large plan without being asked, with the same result before and after workers are up', async () => {
    const cpu = backend({ threads: 2 })
    const alone = await runCase(cpu, largeCase())
    await cpu.startWorkers()
    for (let i = 0; i < 5; i++) expect(await runCase(cpu, largeCase())).toEqual(alone)
  })

  it('refuse synchronous work off the calling thread, and say why', () => {
    const cpu = backend({ threads: 2, mainThread: false })
    expect(cpu.synchronous).toBe(false)
    expect(() => cpu.downloadSync(cpu.allocate(4), 0, new Float32Array(1))).toThrow(/use await/)
  })

  it('reject a number of threads that is none', () => {
    for (const threads of [0, 1.5, 1000]) expect(() => createCpuBackend({ threads })).toThrow(/use 1 to 64/)
  })

  it('do not keep a script from ending', async () => {
    const script = fileURLToPath(new URL('./scripts/run-and-end.ts', import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 30_000 })
    const [result, ended] = stdout.trim().split('\n').map(Number)
    expect(result).toBe(8)
    expect(ended).toBe(1)
  }, 40_000)
})
