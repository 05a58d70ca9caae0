/** The device: order of work, memory, limits, errors, starting and ending. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createWebGpuBackend, probeAdapter, type WebGpuBackend } from '../../../core/backends/webgpu/index.ts'
import { constant, load, scalar } from '../../../core/expr.ts'
import type { KernelPlan, MapKernel, Operand, PlanBuffer } from '../../../core/plan/kernel.ts'
import { webgpuAvailable } from '../../helpers/webgpu.ts'

const operand = (buffer: number, offset = 0): Operand => ({ buffer, dtype: 'float32', offset, strides: [1] })
const external = (binding: number, n: number, written: boolean): PlanBuffer => ({
  kind: 'external',
  bytes: n * 4,
  binding,
  written,
})
const x = load(0, 'f32')

/** y = x * 2 + scalar through a temporary. */
function chain(n: number): KernelPlan {
  const kernel = (from: number, to: number, value: MapKernel['stores'][number]['value']): MapKernel => ({
    kind: 'map',
    shape: [n],
    loads: [operand(from)],
    scalars: [{ slot: 0, type: 'f32' }],
    stores: [{ operand: operand(to), value }],
    label: 'step',
  })
  return {
    scalarCount: 1,
    buffers: [
      external(0, n, false),
      external(1, n, true),
      { kind: 'temp', bytes: n * 4, firstUse: 0, lastUse: 1 },
    ],
    kernels: [kernel(0, 2, x.mul(2)), kernel(2, 1, x.add(scalar(0, 'f32')))],
  }
}

describe.skipIf(!(await webgpuAvailable()))('webgpu device', () => {
  let backend: WebGpuBackend
  beforeAll(async () => {
    backend = await createWebGpuBackend({ adapter: 'any', validate: true })
  })
  afterAll(() => backend?.shutdown())

  const read = async (buffer: ReturnType<WebGpuBackend['allocate']>, n: number, offset = 0) => {
    const into = new Float32Array(n)
    await backend.download(buffer, offset, into)
    return [...into]
  }

  it('keeps the order of uploads and runs while pipelines compile', async () => {
    const [a, b] = [backend.allocate(12), backend.allocate(12)]
    const plan = chain(3)
    // a constant of its own: nothing compiled before fits
    const fresh = { ...plan.kernels[0], stores: [{ operand: operand(2), value: x.mul(2.0625) }] } as MapKernel
    const executable = backend.prepare({ ...plan, kernels: [fresh, plan.kernels[1]] })
    const bindings = [
      { buffer: a, offset: 0 },
      { buffer: b, offset: 0 },
    ]
    backend.upload(a, 0, Float32Array.of(1, 2, 3))
    const first = executable.run(bindings, [10])
    const seen = read(b, 3)
    backend.upload(a, 0, Float32Array.of(4, 5, 6))
    const second = executable.run(bindings, [20])
    await Promise.all([first, second])
    expect(await seen).toEqual([12.0625, 14.125, 16.1875])
    expect(await read(b, 3)).toEqual([28.25, 30.3125, 32.375])
    executable.dispose()
  })

  it('reads one range of a buffer and writes another in one kernel', async () => {
    const n = 64
    const whole = backend.allocate(512)
    backend.upload(
      whole,
      0,
      Float32Array.from({ length: 128 }, (_, i) => i),
    )
    const kernel: MapKernel = {
      kind: 'map',
      shape: [n],
      loads: [operand(0)],
      scalars: [],
      stores: [{ operand: operand(1), value: x.add(100) }],
      label: 'add',
    }
    const executable = backend.prepare({
      kernels: [kernel],
      scalarCount: 0,
      buffers: [external(0, n, false), external(1, n, true)],
    })
    const bindings = [0, 256].map((offset) => ({ buffer: whole, offset }))
    await executable.run(bindings, [])
    await executable.run(bindings, [])
    expect(await read(whole, 128)).toEqual(Array.from({ length: 128 }, (_, i) => (i < 64 ? i : i + 36)))
    executable.dispose()
  })

  it('memory stays flat over runs of changing lengths', async () => {
    const once = async (round: number) => {
      for (let i = 0; i < 40; i++) {
        const n = 1000 + ((i * 7919 + round * 104729) % 40) * 1000
        const [a, b] = [backend.allocate(n * 4), backend.allocate(n * 4)]
        const executable = backend.prepare(chain(n))
        backend.upload(a, 0, new Float32Array(n).fill(i))
        await executable.run(
          [a, b].map((buffer) => ({ buffer, offset: 0 })),
          [round],
        )
        const last = new Float32Array(1)
        await backend.download(b, (n - 1) * 4, last)
        expect(last[0]).toBe(2 * i + round)
        executable.dispose()
        backend.free(a)
        backend.free(b)
      }
    }
    await once(0)
    const { reserved, arena } = backend.memory()
    for (let round = 1; round < 6; round++) await once(round)
    expect(backend.memory().reserved).toBeLessThanOrEqual(reserved * 1.1)
    // the largest plan's needs, not the sum over lengths
    expect(arena).toBeLessThanOrEqual(41000 * 4 * 1.5)
    backend.trim()
    expect(backend.memory().arena).toBe(0)
  })

  it('a plan runs again after its temporaries were trimmed', async () => {
    const [a, b] = [backend.allocate(8), backend.allocate(8)]
    const executable = backend.prepare(chain(2))
    const bindings = [a, b].map((buffer) => ({ buffer, offset: 0 }))
    backend.upload(a, 0, Float32Array.of(1, 2))
    await executable.run(bindings, [1])
    backend.trim()
    await executable.run(bindings, [2])
    expect(await read(b, 2)).toEqual([4, 6])
    executable.dispose()
    await expect(executable.run(bindings, [1])).rejects.toThrow(/disposed/)
  })

  it('elements of 16 bits go up and down at any place', async () => {
    const buffer = backend.allocate(10)
    backend.upload(buffer, 0, Uint16Array.of(1, 2, 3, 4, 5))
    const into = new Uint16Array(3)
    await backend.download(buffer, 2, into)
    expect([...into]).toEqual([2, 3, 4])
  })

  it('names the limit when a kernel has too many buffers', () => {
    const count = backend.maxStorageBuffers
    const loads = Array.from({ length: count }, (_, i) => operand(i))
    const sum = loads.map((_, i) => load(i, 'f32')).reduce((p, q) => p.add(q))
    const kernel: MapKernel = {
      kind: 'map',
      shape: [4],
      loads,
      scalars: [],
      stores: [{ operand: operand(count), value: sum }],
      label: 'wide',
    }
    const buffers = Array.from({ length: count + 1 }, (_, i) => external(i, 4, i === count))
    expect(() => backend.prepare({ kernels: [kernel], buffers, scalarCount: 0 })).toThrow(
      `[webgpu] kernel wide needs ${count + 1} buffers`,
    )
  })

  it('validation errors reject the run and name the kernel', async () => {
    const small = backend.allocate(256)
    const executable = backend.prepare(chain(1000))
    await expect(
      executable.run(
        [small, small].map((buffer) => ({ buffer, offset: 0 })),
        [1],
      ),
    ).rejects.toThrow(/\[webgpu\] kernel step \[1000\]/)
    executable.dispose()
  })

  it('constants that overflow, infinities and NaN compile', async () => {
    const huge = constant(3e38, 'f32')
    const values = [
      huge.mul(10),
      constant(-Infinity, 'f32').add(x),
      constant(NaN, 'f32').max(x),
      constant(Infinity, 'f32').mul(0),
    ]
    const out = backend.allocate(values.length * 256)
    const a = backend.allocate(4)
    backend.upload(a, 0, Float32Array.of(1))
    const executable = backend.prepare({
      scalarCount: 0,
      buffers: [external(0, 1, false), ...values.map((_, i) => external(i + 1, 1, true))],
      kernels: [
        {
          kind: 'map',
          shape: [1],
          loads: [operand(0)],
          scalars: [],
          stores: values.map((value, i) => ({ operand: operand(i + 1), value })),
          label: 'special',
        },
      ],
    })
    await executable.run(
      [{ buffer: a, offset: 0 }, ...values.map((_, i) => ({ buffer: out, offset: i * 256 }))],
      [],
    )
    const results = await Promise.all(values.map(async (_, i) => (await read(out, 1, i * 256))[0]))
    expect(results).toEqual([Infinity, -Infinity, NaN, NaN])
    executable.dispose()
  })

  it('opens and closes twenty times', async () => {
    for (let i = 0; i < 20; i++) {
      const other = await createWebGpuBackend({ adapter: 'any' })
      const buffer = other.allocate(1024)
      other.upload(buffer, 0, Float32Array.of(i))
      const into = new Float32Array(1)
      await other.download(buffer, 0, into)
      expect(into[0]).toBe(i)
      await other.shutdown()
      expect(() => other.upload(buffer, 0, into)).toThrow(/shut down/)
    }
  })

  it('takes a software adapter only when asked for one', async () => {
    const hardware = await probeAdapter('hardware')
    expect(hardware?.software ?? false).toBe(false)
    if (!hardware)
      await expect(createWebGpuBackend()).rejects.toThrow(/\[webgpu\] no GPU adapter: install.*"any"/)
    expect(await probeAdapter('any')).not.toBeNull()
  })
})
