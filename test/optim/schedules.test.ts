import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { getScheduler, LambdaLR } from '../../nn/optim/index.ts'
import { goldenFolders } from './golden.ts'

interface Schedule {
  name: string
  family: string
  schedule: string
  base_lr: number
  arguments: Record<string, unknown> & { scheduler_specific_kwargs: Record<string, unknown> | null }
  lr: number[]
}

const camel = (options: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(options).map(([k, v]) => [k.replace(/_(\w)/g, (_, c) => c.toUpperCase()), v]),
  )
const optimizer = (lr: number) => ({ paramGroups: [{ lr }] })

for (const folder of goldenFolders) {
  const { cases } = JSON.parse(await readFile(new URL('schedules.json', folder), 'utf8')) as {
    cases: Schedule[]
  }
  describe(`schedules of ${folder.pathname.includes('shared') ? 'the shared goldens' : 'the goldens'}`, () => {
    test.each(cases.filter((c) => c.family === 'transformers').map((c) => [c.name, c] as const))(
      '%s',
      (_, c) => {
        const o = optimizer(c.base_lr)
        const { scheduler_specific_kwargs, ...steps } = c.arguments
        const scheduler = getScheduler(c.schedule, o, {
          ...camel(steps),
          schedulerSpecificKwargs: camel(scheduler_specific_kwargs ?? {}),
        })
        const got = c.lr.map(() => {
          const [lr] = scheduler.getLastLr()
          scheduler.step()
          return lr
        })
        expect(Math.max(...got.map((lr, i) => Math.abs(lr - c.lr[i])))).toBeLessThan(1e-9)
      },
    )
  })
}

describe('LambdaLR', () => {
  test('resumes at the saved step', () => {
    const first = new LambdaLR(optimizer(1), (step) => 1 / (1 + step))
    first.step()
    first.step()
    const second = new LambdaLR(optimizer(1), (step) => 1 / (1 + step))
    second.loadStateDict(first.stateDict())
    expect(second.getLastLr()).toEqual([1 / 3])
    second.step()
    expect(second.getLastLr()).toEqual([1 / 4])
  })

  test('names what a schedule lacks', () => {
    expect(() => getScheduler('linear', optimizer(1), { numWarmupSteps: 1 })).toThrow('numTrainingSteps')
    expect(() => getScheduler('lineal', optimizer(1))).toThrow('"lineal" is not one of linear')
  })
})
