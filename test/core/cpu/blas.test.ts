/** A system BLAS: which products it gets, in which layouts, and that results agree with our own kernels. */
import { afterAll, describe, expect, it } from 'vitest'
import { CpuBackend } from '../../../core/backends/cpu/backend.ts'
import type { Blas, Gemm } from '../../../core/backends/cpu/blas/library.ts'
import { findBlas } from '../../../core/backends/cpu/blas/node-library.ts'
import { detectFeatures, hasMemory64 } from '../../../core/backends/cpu/features.ts'
import { type CpuOptions, createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { permuteView, sliceView } from '../../../core/view.ts'
import {
  compareBackends,
  type KernelCase,
  PlanBuilder,
  type PlanTensor,
  Random,
  runCase,
  viewed,
} from '../../helpers/kernels.ts'

const started: { shutdown(): Promise<void> }[] = []
afterAll(async () => {
  await Promise.all(started.map((b) => b.shutdown()))
})

/** cblas_sgemm in JavaScript: shows what it was asked, on machines without a BLAS too. */
class PlainBlas implements Blas {
  readonly name = 'plain'
  readonly path = ''
  readonly core = null
  readonly replacedCore = null
  readonly parallel = false
  readonly calls: Gemm[] = []
  #memory: WebAssembly.Memory | null = null

  setThreads(): void {}

  baseOf(memory: WebAssembly.Memory): number {
    this.#memory = memory
    // as far up as a process's memory lies
    return 0x7f0000000000
  }

  sgemm(g: Gemm): void {
    this.calls.push(g)
    const all = new Float32Array(this.#memory!.buffer)
    const [a, b, c] = [g.a, g.b, g.c].map((address) => all.subarray((address - 0x7f0000000000) / 4))
    for (let i = 0; i < g.m; i++)
      for (let j = 0; j < g.n; j++) {
        let sum = g.beta === 1 ? c[i * g.ldc + j] : 0
        for (let p = 0; p < g.k; p++) {
          const x = g.transposeA ? a[p * g.lda + i] : a[i * g.lda + p]
          const y = g.transposeB ? b[j * g.ldb + p] : b[p * g.ldb + j]
          sum += x * y
        }
        c[i * g.ldc + j] = sum
      }
  }
}

function plainBackend(): { cpu: CpuBackend; blas: PlainBlas } {
  const blas = new PlainBlas()
  const cpu = new CpuBackend({
    threads: 1,
    mainThread: true,
    features: detectFeatures(),
    heap: {},
    shareAlways: false,
    findBlas: () => blas,
  })
  started.push(cpu)
  return { cpu, blas }
}

type Change = (t: PlanTensor) => PlanTensor
interface Product {
  readonly name: string
  /** As in memory, before `viewA` and `viewB`. */
  readonly a: readonly number[]
  readonly b: readonly number[]
  readonly out: readonly number[]
  readonly viewA?: Change
  readonly viewB?: Change
  readonly bias?: boolean
}

const swapped: Change = (t) =>
  viewed(t, (v) => {
    const order = v.shape.map((_, d) => d)
    const last = order.splice(-2).reverse()
    return permuteView(v, [...order, ...last])
  })

function caseOf(p: Product): KernelCase {
  const build = new PlanBuilder()
  const size = (shape: readonly number[]) => shape.reduce((x, y) => x * y, 1)
  const random = new Random(7)
  const input = (shape: readonly number[]) => build.input('float32', shape, random.floats(size(shape)))
  const a = input(p.a)
  const b = input(p.b)
  const inputs = [p.viewA?.(a) ?? a, p.viewB?.(b) ?? b]
  if (p.bias) inputs.push(input([p.out.at(-1)!]))
  build.call('matmul', inputs, [build.output('float32', p.out)], { bias: p.bias ?? false })
  return build.build(p.name)
}

const [M, N, K] = [145, 163, 180]
const LAYOUTS: Product[] = [
  { name: 'plain', a: [M, K], b: [K, N], out: [M, N] },
  { name: 'b transposed, bias', a: [M, K], b: [N, K], viewB: swapped, out: [M, N], bias: true },
  { name: 'a transposed', a: [K, M], viewA: swapped, b: [K, N], out: [M, N] },
  { name: 'both transposed', a: [K, M], viewA: swapped, b: [N, K], viewB: swapped, out: [M, N], bias: true },
  {
    name: 'columns of a wider matrix, from an offset',
    a: [M, K + 30],
    viewA: (t) => viewed(t, (v) => sliceView(v, 1, 11, 1, K)),
    b: [N + 9, K],
    viewB: (t) => swapped(viewed(t, (v) => sliceView(v, 0, 5, 1, N))),
    out: [M, N],
  },
  {
    name: 'rows of a batch that share b',
    a: [3, 80, K],
    b: [1, K, N],
    viewB: expandBatch(3),
    out: [3, 80, N],
  },
  { name: 'batches of their own', a: [2, M, K], b: [2, N, K], viewB: swapped, out: [2, M, N], bias: true },
]

function expandBatch(count: number): Change {
  return (t) => ({ ...t, shape: [count, ...t.shape.slice(1)], strides: [0, ...t.strides.slice(1)] })
}

/** A sum of K products of numbers below 2, in float32: a rounding of the sum each. */
const TOLERANCE = K * 2 ** -23

describe('products for a system BLAS', () => {
  it.each(LAYOUTS)('are handed over right: $name', async (p) => {
    const { cpu, blas } = plainBackend()
    await compareBackends(caseOf(p), createReferenceBackend(), cpu, TOLERANCE)
    expect(blas.calls.length).toBe(p.a.length === 3 && !p.name.includes('share') ? p.a[0] : 1)
  })

  it.each<Product>([
    { name: 'small', a: [30, 40], b: [40, 50], out: [30, 50] },
    { name: 'few rows', a: [8, 1024], b: [1024, 1024], out: [8, 1024] },
    { name: 'few columns', a: [1024, 1024], b: [1024, 2], out: [1024, 2] },
    {
      name: 'every second column of a',
      a: [M, 2 * K],
      viewA: (t) => viewed(t, (v) => sliceView(v, 1, 0, 2, K)),
      b: [K, N],
      out: [M, N],
    },
  ])('are left to our own kernels: $name', async (p) => {
    const { cpu, blas } = plainBackend()
    await compareBackends(caseOf(p), createReferenceBackend(), cpu, 1024 * 2 ** -23)
    expect(blas.calls).toEqual([])
  })

  it('are left to our own kernels where the weights are kept in 16 bits', async () => {
    const build = new PlanBuilder()
    const a = build.input('float32', [M, K], new Random(1).floats(M * K))
    const b = build.input('bfloat16', [K, N], new Uint16Array(K * N).fill(0x3f80))
    build.call('matmul', [a, b], [build.output('float32', [M, N])], { bias: false })
    const { cpu, blas } = plainBackend()
    await compareBackends(build.build('bfloat16'), createReferenceBackend(), cpu)
    expect(blas.calls).toEqual([])
  })

  it('are cut where one call would hold up the event loop', async () => {
    const { cpu, blas } = plainBackend()
    // only the first row of a counts, so that the plain product is over soon
    const sizes: [number, number][] = []
    blas.sgemm = (g) => sizes.push([g.m, g.c])
    await runCase(cpu, caseOf({ name: 'large', a: [5000, 1024], b: [1024, 1024], out: [5000, 1024] }))
    expect(sizes.map(([m]) => m)).toEqual([2048, 2048, 904])
    expect(sizes[1][1] - sizes[0][1]).toBe(2048 * 1024 * 4)
  })
})

const library = findBlas('auto')
const real = (options: CpuOptions) => {
  const cpu = createCpuBackend({ blas: 'auto', ...options })
  started.push(cpu)
  return cpu
}

describe.skipIf(!library)(`the BLAS of this machine (${library?.name ?? 'none found'})`, () => {
  it.each(LAYOUTS)('agrees with the reference: $name', async (p) => {
    const cpu = real({})
    const c = caseOf(p)
    expect(cpu.prepare(c.plan).describe!()).toContain('sgemm of the system BLAS')
    await compareBackends(c, createReferenceBackend(), cpu, TOLERANCE)
  })

  it('gives way to our kernels and back, with workers, whether awaited or not', async () => {
    const build = new PlanBuilder()
    let x: PlanTensor = build.input('float32', [256, 256], new Random(3).floats(256 * 256))
    for (let i = 0; i < 6; i++) {
      const y = build.temp('float32', [256, 256])
      const last = i === 5
      build.call('matmul', [x, x], [y], { bias: false })
      const z = last ? build.output('float32', [256, 256]) : build.temp('float32', [256, 256])
      build.call('softmax', [y], [z], { log: false })
      x = z
    }
    const c = build.build('alternating')
    const cpu = real({ threads: 2, shareAlways: true })
    await cpu.startWorkers()
    await compareBackends(c, createReferenceBackend(), cpu, TOLERANCE)
    const before = await runCase(cpu, c)
    for (let i = 0; i < 5; i++) expect(await runCase(cpu, c)).toEqual(before)
  })

  it.skipIf(!hasMemory64())('computes beyond 4 GiB', async () => {
    const cpu = real({ addressBits: 64, firstAddress: 4 * 2 ** 30 + 65536 })
    const c = caseOf(LAYOUTS[1])
    expect(cpu.prepare(c.plan).describe!()).toContain('sgemm of the system BLAS')
    await compareBackends(c, createReferenceBackend(), cpu, TOLERANCE)
  })

  it('is not used off the main thread, nor where it is turned off', () => {
    const { plan } = caseOf(LAYOUTS[0])
    for (const options of [{ blas: 'off' }, { blas: 'auto', mainThread: false }]) {
      const cpu = real({ threads: 2, ...options })
      expect(cpu.prepare(plan).describe!()).not.toContain('BLAS')
      expect(cpu.description).not.toContain(library!.name)
    }
    expect(real({}).description).toContain(library!.name)
  })
})

describe('the BLAS setting', () => {
  it('refuses at once what is no BLAS library', () => {
    expect(() => createCpuBackend({ blas: '/nowhere/libblas.so' })).toThrow(
      /^\[blas\] \/nowhere\/libblas\.so/,
    )
  })
})
