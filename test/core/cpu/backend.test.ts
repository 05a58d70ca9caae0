import { afterAll, describe, expect, it } from 'vitest'
import { type CpuBackend, createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { acc, type Expr, load } from '../../../core/expr.ts'
import type { MapKernel } from '../../../core/plan/kernel.ts'
import { callCases, compareBackends, loopCases, supportsCase } from '../../helpers/kernels.ts'

const reference = createReferenceBackend({})
const backends = {
  'relaxed SIMD': createCpuBackend({ threads: 1 }),
  '128-bit vectors': createCpuBackend({ threads: 1, wideSimd: false }),
  'plain SIMD': createCpuBackend({ threads: 1, relaxedSimd: false }),
}

afterAll(async () => {
  await Promise.all(Object.values(backends).map((b) => b.shutdown()))
})

for (const [name, cpu] of Object.entries(backends))
  describe(`cpu with ${name} agrees with the reference`, () => {
    it.each(loopCases().map((c) => [c.name, c] as const))('%s', async (_, c) => {
      await compareBackends(c, reference, cpu)
    })
    it.each(
      callCases()
        .filter((c) => supportsCase(cpu, c))
        .map((c) => [c.name, c] as const),
    )('%s', async (_, c) => {
      await compareBackends(c, reference, cpu)
    })
  })

/** One map: y = x * 2 over `count` elements, in place, with an intermediate. */
function doubling(cpu: CpuBackend, count: number) {
  const operand = (buffer: number) => ({ buffer, dtype: 'float32', offset: 0, strides: [1] }) as const
  const map = (from: number, to: number, value: Expr): MapKernel => ({
    kind: 'map',
    shape: [count],
    loads: [operand(from)],
    scalars: [],
    stores: [{ operand: operand(to), value }],
    label: 'test',
  })
  const x = load(0, 'f32')
  return cpu.prepare({
    kernels: [map(0, 1, x.add(x)), map(1, 0, x)],
    buffers: [
      { kind: 'external', bytes: 4 * count, binding: 0, written: true },
      { kind: 'temp', bytes: 4 * count, firstUse: 0, lastUse: 1 },
    ],
    scalarCount: 0,
  })
}

function sum(cpu: CpuBackend, data: Float32Array, rows = 1): Float32Array {
  const columns = data.length / rows
  const buffer = cpu.allocate(4 * data.length)
  const result = cpu.allocate(4 * columns)
  cpu.upload(buffer, 0, data)
  const executable = cpu.prepare({
    kernels: [
      {
        kind: 'reduce',
        // rows === 1: one sum of everything; else sums of columns
        shape: rows === 1 ? [columns] : [columns, rows],
        reducedRank: 1,
        combine: 'sum',
        body: load(0, 'f32'),
        loads: [{ buffer: 0, dtype: 'float32', offset: 0, strides: rows === 1 ? [1] : [1, columns] }],
        scalars: [],
        stores: [
          {
            operand: { buffer: 1, dtype: 'float32', offset: 0, strides: rows === 1 ? [0] : [1, 0] },
            value: acc('f32'),
          },
        ],
        label: 'sum',
      },
    ],
    buffers: [
      { kind: 'external', bytes: 4 * data.length, binding: 0, written: false },
      { kind: 'external', bytes: 4 * columns, binding: 1, written: true },
    ],
    scalarCount: 0,
  })
  executable.runSync?.(
    [
      { buffer, offset: 0 },
      { buffer: result, offset: 0 },
    ],
    [],
  )
  const out = new Float32Array(rows === 1 ? 1 : columns)
  cpu.downloadSync(result, 0, out)
  executable.dispose()
  cpu.free(buffer)
  cpu.free(result)
  return out
}

describe('cpu', () => {
  const cpu = backends['relaxed SIMD']

  it('says what it is', () => {
    expect(backends['plain SIMD'].description).toBe('cpu, 1 thread, SIMD')
  })

  it('adds ten million equal numbers, whose roundings do not cancel, to 1e-6', () => {
    const data = new Float32Array(10_000_000).fill(0.1)
    const expected = Math.fround(0.1) * data.length
    expect(Math.abs(sum(cpu, data)[0] - expected) / expected).toBeLessThan(1e-6)
    for (const value of sum(cpu, data, 2_500_000))
      expect(Math.abs(value - expected / 4) / (expected / 4)).toBeLessThan(1e-6)
  })

  it('keeps infinities and NaN in long sums', () => {
    const data = new Float32Array(100_000).fill(1)
    data[50_000] = Number.POSITIVE_INFINITY
    expect(sum(cpu, data)[0]).toBe(Number.POSITIVE_INFINITY)
    expect(sum(cpu, data, 1000)[0]).toBe(Number.POSITIVE_INFINITY)
    data[70_000] = Number.NaN
    expect(sum(cpu, data)[0]).toBeNaN()
  })

  it('does not grow over many runs, plans and buffers', async () => {
    const round = async () => {
      const buffer = cpu.allocate(4 * 50_000)
      const executable = doubling(cpu, 50_000)
      for (let i = 0; i < 20; i++) await executable.run([{ buffer, offset: 0 }], [])
      executable.dispose()
      cpu.free(buffer)
    }
    await round()
    const before = cpu.memory()
    for (let i = 0; i < 50; i++) await round()
    expect(cpu.memory()).toEqual(before)
    expect(before.arena).toBeGreaterThanOrEqual(200_000)
    cpu.trim()
    expect(cpu.memory().arena).toBe(0)
    await round()
    expect(cpu.memory()).toEqual({ ...before, arena: 200_000 })
  })

  it('runs plans in the order in which they were asked for, mixed with synchronous ones', async () => {
    const buffer = cpu.allocate(4000)
    cpu.upload(buffer, 0, new Float32Array(1000).fill(1))
    const executable = doubling(cpu, 1000)
    const bindings = [{ buffer, offset: 0 }]
    const runs = [executable.run(bindings, []), executable.run(bindings, [])]
    executable.runSync?.(bindings, [])
    const now = new Float32Array(1000)
    cpu.downloadSync(buffer, 0, now)
    expect(now[999]).toBe(8)
    await Promise.all(runs)
    await executable.run(bindings, [])
    await cpu.download(buffer, 0, now)
    expect(now[0]).toBe(16)
  })

  it('lets the event loop turn during a long asynchronous plan', async () => {
    const count = 1 << 16
    const operand = { buffer: 0, dtype: 'float32', offset: 0, strides: [1] } as const
    const kernel: MapKernel = {
      kind: 'map',
      shape: [count],
      loads: [operand],
      scalars: [],
      stores: [{ operand, value: load(0, 'f32').exp().log().exp().log() }],
      label: 'slow',
    }
    const buffer = cpu.allocate(4 * count)
    const executable = cpu.prepare({
      kernels: Array.from({ length: 600 }, () => kernel),
      buffers: [{ kind: 'external', bytes: 4 * count, binding: 0, written: true }],
      scalarCount: 0,
    })
    let turns = 0
    const timer = setInterval(() => turns++, 1)
    await executable.run([{ buffer, offset: 0 }], [])
    clearInterval(timer)
    expect(turns).toBeGreaterThan(0)
  })

  it('times kernels one by one where asked to', async () => {
    const buffer = cpu.allocate(4000)
    const executable = doubling(cpu, 1000)
    const seen: number[] = []
    executable.onKernel = (kernel, ms) => {
      expect(ms).toBeGreaterThanOrEqual(0)
      seen.push(kernel)
    }
    await executable.run([{ buffer, offset: 0 }], [])
    expect(seen).toEqual([0, 1])
  })

  it('describes the modules of a plan and how their units are taken', () => {
    expect(doubling(cpu, 10_000).describe?.()).toMatch(
      /^program of 2 dispatches in 2 steps, 40000 bytes of arena\n {2}kernel 0: module \d+, 3 units by \d+: map/,
    )
  })

  it('frees a plan that is disposed of while it runs, afterwards', async () => {
    const buffer = cpu.allocate(400)
    cpu.upload(buffer, 0, new Float32Array(100).fill(1))
    const executable = doubling(cpu, 100)
    const run = executable.run([{ buffer, offset: 0 }], [])
    executable.dispose()
    executable.dispose()
    await run
    const result = new Float32Array(100)
    await cpu.download(buffer, 0, result)
    expect(result[99]).toBe(2)
  })

  it('names what is wrong with a transfer', () => {
    const buffer = cpu.allocate(8)
    expect(() => cpu.upload(buffer, 4, new Float32Array(2))).toThrow(
      /bytes 4 to 12 lie outside a buffer of 8/,
    )
    expect(() => cpu.upload(buffer, 0, new Float64Array(1))).toThrow(/convert it to Float32Array/)
  })

  it('refuses work after shutdown', async () => {
    const other = createCpuBackend({ threads: 1 })
    const buffer = other.allocate(40)
    const executable = doubling(other, 10)
    await other.shutdown()
    expect(() => executable.runSync?.([{ buffer, offset: 0 }], [])).toThrow(/was shut down/)
  })
})
