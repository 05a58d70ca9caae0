/** Sizes at which the cpu kernels cut their work: blocks of K, tiles, memory limits, blocks of queries and keys. */
import { afterAll, describe, expect, test } from 'vitest'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { numel } from '../../../core/shape.ts'
import { permuteView } from '../../../core/view.ts'
import { GUARD_BYTES } from '../../helpers/kernel-plan.ts'
import { compareBackends, PlanBuilder, Random, runCase, viewed } from '../../helpers/kernels.ts'

const random = new Random(1)
const cpu = createCpuBackend({ threads: 2, shareAlways: true })
const reference = createReferenceBackend()
afterAll(() => cpu.shutdown())

const floats = (b: PlanBuilder, shape: readonly number[]) =>
  b.input('float32', shape, random.floats(numel(shape), 1))

describe('matmul', () => {
  const cases: [string, readonly number[], boolean][] = [
    // batch, m, n, k; whether b is given as [n, k]
    ['two blocks of K', [1, 100, 70, 400], false],
    ['five blocks of K', [1, 20, 24, 1537], true],
    ['tiles at the edges', [1, 97, 65, 7], false],
    ['more than one tile each way', [1, 200, 150, 30], true],
    ['rows in two parts: 16 MiB of panels', [1, 600, 9, 8192], false],
    ['columns in two parts', [1, 9, 600, 8192], true],
    ['batches in two parts', [8, 12, 10, 32768], false],
    ['many small products', [9, 30, 20, 40], true],
    ['one row, columns in two blocks', [1, 1, 4100, 100], false],
    ['eight rows, partial sums of K', [1, 8, 70, 300], false],
    ['few columns, transposed', [1, 300, 3, 500], false],
    ['one row, inner products', [1, 1, 333, 1001], true],
    ['seven rows, rows of b where they are', [1, 7, 205, 97], true],
    ['rows of b where they are, in two blocks', [1, 70, 107, 3001], true],
    ['strips of b beside packed rows, two cuts of them', [1, 400, 150, 520], true],
    ['the same with b along N', [1, 400, 150, 520], false],
    ['strips of b, rows in two parts: 16 MiB of panels', [1, 1700, 65, 2600], false],
    ['strips of b, the last ones cut', [1, 17, 83, 50], false],
  ]
  test.each(cases)('%s', async (name, [batch, m, n, k], transposed) => {
    const b = new PlanBuilder()
    const left = floats(b, [batch, m, k])
    const right = transposed
      ? viewed(floats(b, [batch, n, k]), (v) => permuteView(v, [0, 2, 1]))
      : floats(b, [batch, k, n])
    b.call('matmul', [left, right, floats(b, [n])], [b.output('float32', [batch, m, n])], { bias: true })
    // the rounding of a sum of k random terms, at five standard deviations
    await compareBackends(b.build(name, { tolerance: 2 ** -24 * Math.max(k, 50) }), reference, cpu)
  })

  test('sums over K in one order, whatever the number of rows from 9 up and the layout of b', async () => {
    const [n, k] = [53, 801]
    const a = random.floats(300 * k, 1)
    const weights = random.floats(n * k, 1)
    const transposed = weights.map((_, i) => weights[(i % n) * k + Math.floor(i / n)])
    const rows = async (m: number, isTransposed: boolean) => {
      const b = new PlanBuilder()
      const right = isTransposed
        ? viewed(b.input('float32', [1, n, k], weights), (v) => permuteView(v, [0, 2, 1]))
        : b.input('float32', [1, k, n], transposed)
      const left = b.input('float32', [1, m, k], a.slice(0, m * k))
      b.call('matmul', [left, right], [b.output('float32', [1, m, n])], { bias: false })
      const result = (await runCase(cpu, b.build(`${m} rows`))).at(-1)!
      return result.slice(GUARD_BYTES / 4, GUARD_BYTES / 4 + 9 * n)
    }
    const expected = await rows(9, false)
    for (const m of [9, 24, 70, 128, 129, 300])
      for (const isTransposed of [false, true]) expect(await rows(m, isTransposed)).toEqual(expected)
  })
})

describe('attention', () => {
  const cases: [
    string,
    { heads: number; kvHeads: number; queries: number; keys: number; kvLength: number },
  ][] = [
    ['three blocks of queries and of keys', { heads: 2, kvHeads: 1, queries: 150, keys: 300, kvLength: 290 }],
    ['one query, many keys', { heads: 4, kvHeads: 2, queries: 1, keys: 512, kvLength: 501 }],
    ['three queries', { heads: 2, kvHeads: 2, queries: 3, keys: 33, kvLength: 33 }],
  ]
  for (const causal of [false, true])
    test.each(cases)(`%s, causal ${causal}`, async (name, s) => {
      const depth = 32
      const b = new PlanBuilder()
      const token = (heads: number, tokens: number) => floats(b, [1, heads, tokens, depth])
      const inputs = [token(s.heads, s.queries), token(s.kvHeads, s.keys), token(s.kvHeads, s.keys)]
      const scalars = [b.scalar(0.3), b.scalar(s.kvLength, 'i32')]
      const attrs = { causal, mask: false, packed: false, dropout: false }
      const o = b.output('float32', [1, s.queries, s.heads, depth])
      const lse = b.output('float32', [1, s.heads, s.queries])
      b.call('attention', inputs, [o, lse], attrs, scalars)
      const gradients = [
        b.output('float32', [1, s.queries, s.heads, depth]),
        b.output('float32', [1, s.keys, s.kvHeads, depth]),
        b.output('float32', [1, s.keys, s.kvHeads, depth]),
      ]
      const dOut = floats(b, [1, s.queries, s.heads, depth])
      b.call('attentionBackward', [dOut, ...inputs, o, lse], gradients, attrs, scalars)
      await compareBackends(b.build(name, { tolerance: 1e-5 }), reference, cpu)
    })
})
