import { expect, it } from 'vitest'
import { evaluate, full, ones, setDefaultDevice } from '../../../core/index.ts'

it('computes values that are made of scalars alone, also beside ones that are not', async () => {
  await setDefaultDevice('cpu')
  expect(await ones([5]).mul(2).tolist()).toEqual([2, 2, 2, 2, 2])
  const a = full([2, 3], 0.5).mul(3).add(1)
  const b = ones([2, 3]).mul(2).mul(a)
  await evaluate(a, b)
  expect(await a.tolist()).toEqual([
    [2.5, 2.5, 2.5],
    [2.5, 2.5, 2.5],
  ])
  expect(await b.sum().item()).toBe(30)
})
