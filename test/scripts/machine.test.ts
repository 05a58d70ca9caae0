import { describe, expect, it } from 'vitest'
import { errorLines, runCommand } from './run-command.ts'

describe('bench', () => {
  it('gives a value with its unit for each part that was named', async () => {
    const result = await runCommand([
      'bench',
      'hostoverhead',
      '--device',
      'cpu',
      '--threads',
      '1',
      '--seconds',
      '0.1',
      '--json',
    ])
    expect(result.code).toBe(0)
    expect(result.json()).toEqual({
      hostoverhead: { value: expect.any(Number), unit: 'ms/step', detail: expect.any(Object) },
    })
  })

  it('refuses a part that is not there', async () => {
    const result = await runCommand(['bench', 'matmul', 'poetry'])
    expect(errorLines(result)).toEqual([expect.stringMatching(/poetry is none of matmul, .*memory/)])
    expect(result.code).toBe(2)
  })
})

describe('doctor', () => {
  it('finds nothing broken where the tests pass', async () => {
    const result = await runCommand(['doctor', '--json'])
    const checks = result.json().checks as { name: string; status: string; detail: string }[]
    expect(checks.filter(({ status }) => status === 'broken')).toEqual([])
    expect(checks.map(({ name }) => name)).toEqual(
      expect.arrayContaining([
        'runtime',
        'SIMD',
        'threads',
        'BLAS',
        'cpu agrees with the reference',
        'WebGPU',
        'model cache',
      ]),
    )
    expect(result.code).toBe(0)
    // a software GPU takes its time where the processor is busy
  }, 240_000)
})

describe('the command line', () => {
  it('says what there is, and refuses what there is not', async () => {
    const help = await runCommand(['--help'])
    expect(help.code).toBe(0)
    for (const name of ['finetune', 'generate', 'classify', 'conformance', 'doctor', 'bench'])
      expect(help.stdout).toContain(name)
    const unknown = await runCommand(['finetuen'])
    expect(errorLines(unknown)).toEqual([expect.stringContaining("unknown command 'finetuen'")])
    expect(unknown.code).toBe(2)
    expect((await runCommand([])).code).toBe(2)
  })
})
