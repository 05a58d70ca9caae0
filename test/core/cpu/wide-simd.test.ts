/** 256-bit vectors: the same bits as with 128-bit ones, in every thread, and in no module that did not ask for them. */
import { spawnSync } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { detectFeatures } from '../../../core/backends/cpu/features.ts'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { hasWideSimd } from '../../../core/backends/cpu/wide-simd.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { permuteView } from '../../../core/view.ts'
import { RandomPlan } from '../../helpers/kernel-plan.ts'
import {
  callCases,
  compareBackends,
  type KernelCase,
  loopCases,
  runCase,
  viewed,
} from '../../helpers/kernels.ts'

const wide = createCpuBackend({ threads: 2, shareAlways: true })
const narrow = createCpuBackend({ threads: 1, wideSimd: false })
const reference = createReferenceBackend()
afterAll(() => Promise.all([wide.shutdown(), narrow.shutdown()]))

const size = fc.oneof(fc.integer({ min: 1, max: 70 }), fc.constantFrom(6, 8, 16, 96, 97, 128))
const product = fc.record({
  seed: fc.nat(),
  batch: fc.constantFrom(1, 1, 2, 9),
  m: size,
  n: size,
  k: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.constantFrom(384, 385, 800)),
  transposedA: fc.boolean(),
  transposedB: fc.boolean(),
  bias: fc.boolean(),
  dtype: fc.constantFrom('float32', 'float16', 'bfloat16'),
} as const)

type Product = typeof product extends fc.Arbitrary<infer T> ? T : never

function productCase(p: Product): KernelCase {
  const b = new RandomPlan(p.seed)
  const swap = <T extends Parameters<typeof viewed>[0]>(t: T) => viewed(t, (v) => permuteView(v, [0, 2, 1]))
  const left = p.transposedA ? swap(b.floats([p.batch, p.k, p.m])) : b.floats([p.batch, p.m, p.k])
  const right = p.transposedB
    ? swap(b.weights(p.dtype, [p.batch, p.n, p.k]))
    : b.weights(p.dtype, [p.batch, p.k, p.n])
  const inputs = p.bias ? [left, right, b.floats([p.n])] : [left, right]
  b.call('matmul', inputs, [b.output('float32', [p.batch, p.m, p.n])], { bias: p.bias })
  // a chain of k additions to sums of about sqrt(i) is off by k 2^-24 / sqrt(6) in the mean: seven times that, for a million elements
  return b.build(JSON.stringify(p), { tolerance: 3 * 2 ** -24 * Math.max(p.k, 50) })
}

describe.skipIf(!hasWideSimd())('256-bit vectors', () => {
  it('give the bits of 128-bit ones for random products, and agree with the reference', async () => {
    await wide.startWorkers()
    await fc.assert(
      fc.asyncProperty(product, async (p) => {
        const c = productCase(p)
        expect(await runCase(wide, c)).toEqual(await runCase(narrow, c))
        await compareBackends(c, reference, wide)
      }),
      { numRuns: 80 },
    )
  })

  it('give the bits of 128-bit ones for every kernel', async () => {
    for (const c of [...loopCases(), ...callCases()])
      expect(await runCase(wide, c), c.name).toEqual(await runCase(narrow, c))
  })

  it('are compiled once for all threads, where asked for and nowhere else', async () => {
    const script = fileURLToPath(new URL('./scripts/trace-wide.ts', import.meta.url))
    const folder = await mkdtemp(join(tmpdir(), 'tunesmith-'))
    const trace = async (...args: string[]) => {
      // into a file: V8 writes past what a full pipe takes
      const path = join(folder, args.join('-') || 'nothing')
      const file = await open(path, 'w')
      const { status } = spawnSync(process.execPath, ['--trace-wasm-revectorize', script, ...args], {
        stdio: ['ignore', file.fd, 'inherit'],
      })
      await file.close()
      expect(status).toBe(0)
      const text = await readFile(path, 'utf8')
      const count = (pattern: RegExp) => [...text.matchAll(pattern)].length
      return {
        widened: count(/Decide to vectorize, \d+ revectorizable nodes/g),
        looked: count(/Begin revec/g),
      }
    }
    const nothing = await trace()
    expect(nothing.widened).toBe(1) // the measurement
    const product = await trace('product')
    expect(product.widened).toBe(2)
    expect(await trace('product', 'other')).toEqual(product)
    await rm(folder, { recursive: true })
  })
})

describe('detectFeatures', () => {
  it('keeps to 128 bits where told to, and refuses other settings', () => {
    expect(detectFeatures({ wideSimd: false }).wideSimd).toBe(false)
    const before = process.env.TUNESMITH_SIMD
    try {
      process.env.TUNESMITH_SIMD = '128'
      expect(detectFeatures().wideSimd).toBe(false)
      process.env.TUNESMITH_SIMD = 'avx'
      expect(() => detectFeatures()).toThrow(/TUNESMITH_SIMD="avx" is not 128/)
    } finally {
      if (before === undefined) delete process.env.TUNESMITH_SIMD
      else process.env.TUNESMITH_SIMD = before
    }
  })
})
