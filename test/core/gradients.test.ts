import { afterAll, beforeAll, describe, it } from 'vitest'
import { setDefaultDevice, shutdown } from '../../core/index.ts'
import { gradcheck, sample } from './gradcheck.ts'
import { OP_CASES } from './op-cases.ts'

describe('gradients agree with finite differences in float64', () => {
  beforeAll(async () => {
    await setDefaultDevice('reference', { float64: true })
  })
  afterAll(shutdown)
  for (const c of OP_CASES)
    it(c.name, async () => {
      const inputs = c.shapes.map((s, i) => sample(s, i + 1, c.positive))
      await gradcheck(c.fn, inputs, c.second ?? true)
    })
})
