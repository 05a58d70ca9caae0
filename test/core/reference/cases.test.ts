/** The shared kernel cases run on the reference, and its two precisions agree within each case's tolerance. */
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { callCases, compareBackends, type KernelCase, loopCases, runCase } from '../../helpers/kernels.ts'

const single = createReferenceBackend()
const double = createReferenceBackend({ float64: true })

describe.each([
  ['calls', callCases()],
  ['loops', loopCases()],
] as [string, KernelCase[]][])('%s', (_, cases) => {
  it.each(cases.map((c) => [c.name, c] as const))('%s', async (_name, c) => {
    await compareBackends(c, double, single)
  })

  it('have names of their own, and write something', async () => {
    expect(new Set(cases.map((c) => c.name)).size).toBe(cases.length)
    for (const c of cases.filter((c) => c.contents.some(({ data }) => data.length > 200))) {
      const after = await runCase(single, c)
      const changed = after.some((data, i) => data.some((x, at) => !Object.is(x, c.contents[i].data[at])))
      expect(changed, c.name).toBe(true)
    }
  })
})

it('a wrong element is named', async () => {
  const [c] = callCases()
  const wrong = { ...c, plan: { ...c.plan, kernels: [] } }
  const other = createReferenceBackend()
  const prepare = other.prepare.bind(other)
  other.prepare = () => prepare(wrong.plan)
  await expect(compareBackends(c, single, other)).rejects.toThrow(
    /matmul.*differ in 1 elements of binding 2 .*\[0\] 77/,
  )
})
