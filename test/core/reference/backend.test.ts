import { describe, expect, it } from 'vitest'
import { erf } from '../../../core/backends/reference/erf.ts'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { load } from '../../../core/expr.ts'
import { PlanBuilder, runCase } from '../../helpers/kernels.ts'

describe('memory', () => {
  it('keeps all digits in float64 mode only', () => {
    for (const float64 of [false, true]) {
      const backend = createReferenceBackend({ float64 })
      const buffer = backend.allocate(1024)
      backend.upload(buffer, 256, Float64Array.of(0.1, 1e300))
      const into = new Float64Array(2)
      backend.downloadSync(buffer, 256, into)
      expect([...into]).toEqual(float64 ? [0.1, 1e300] : [Math.fround(0.1), Infinity])
      const asFloats = new Float32Array(1)
      backend.downloadSync(buffer, 256, asFloats)
      expect(asFloats[0]).toBe(Math.fround(0.1))
    }
  })

  it('starts as NaN, so that a read before a write shows', () => {
    const backend = createReferenceBackend()
    const into = new Float32Array(2)
    backend.downloadSync(backend.allocate(8), 0, into)
    expect([...into]).toEqual([NaN, NaN])
  })

  it('refuses what does not fit', () => {
    const backend = createReferenceBackend()
    const buffer = backend.allocate(8)
    expect(() => backend.upload(buffer, 4, new Float32Array(2))).toThrow(
      '[upload] 2 elements of 4 bytes at byte 4',
    )
    expect(() => backend.downloadSync(buffer, 2, new Float32Array(1))).toThrow('[download]')
    expect(() => backend.free({ bytes: 4 })).toThrow('another device')
  })

  it('counts buffers and intermediates, and gives them back', async () => {
    const backend = createReferenceBackend()
    const b = new PlanBuilder()
    const [x, t, y] = [
      b.input('float32', [4], [1, 2, 3, 4]),
      b.temp('float32', [4]),
      b.output('float32', [4]),
    ]
    b.map([4], [[t, load(0, 'f32').mul(2)]], { loads: [x] })
    b.map([4], [[y, load(0, 'f32').add(1)]], { loads: [t] })
    const { plan } = b.build('two steps')
    const executable = backend.prepare(plan)
    const bindings = [0, 1].map(() => ({ buffer: backend.allocate(16), offset: 0 }))
    backend.upload(bindings[0].buffer, 0, Float32Array.of(1, 2, 3, 4))
    expect(executable.arenaBytes).toBe(16)
    executable.runSync!(bindings, [])
    const into = new Float32Array(4)
    backend.downloadSync(bindings[1].buffer, 0, into)
    expect([...into]).toEqual([3, 5, 7, 9])
    expect(backend.memory()).toEqual({ arena: 16, buffers: 32, reserved: 48 })
    backend.trim()
    expect(backend.memory().arena).toBe(0)
    executable.runSync!(bindings, [])
    executable.dispose()
    for (const { buffer } of bindings) backend.free(buffer)
    expect(backend.memory()).toEqual({ arena: 0, buffers: 0, reserved: 0 })
  })
})

describe('plans that break the contract are refused', () => {
  const copy = (change: (b: PlanBuilder) => void) => () => {
    const b = new PlanBuilder()
    change(b)
    return createReferenceBackend().prepare(b.build('wrong').plan)
  }
  it('an operand outside its buffer', () => {
    const wrong = copy((b) => {
      const x = { ...b.input('float32', [4], [1, 2, 3, 4]), offset: 2 }
      b.map([4], [[b.output('float32', [4]), load(0, 'f32')]], { loads: [x], label: 'neg' })
    })
    expect(wrong).toThrow('[neg] an operand reads elements 2 to 5 of buffer 0, which has 4')
  })
  it('a strided output of a call', () => {
    const wrong = copy((b) => {
      const out = { ...b.output('float32', [2, 2]), strides: [1, 2] }
      b.call('softmax', [b.input('float32', [2, 2], [1, 2, 3, 4])], [out], { log: false })
    })
    expect(wrong).toThrow('[softmax] an output must be contiguous')
  })
  it('too few scalars', async () => {
    const b = new PlanBuilder()
    b.call('philox', [], [b.output('int32', [4])], {}, [b.scalar(0, 'i32')])
    const c = { ...b.build('philox'), scalars: [] }
    await expect(runCase(createReferenceBackend(), c)).rejects.toThrow('takes 1 scalars, got 0')
  })
})

it('a chain of operations keeps 1e-15 in float64 mode', async () => {
  const b = new PlanBuilder()
  const out = b.output('float32', [1])
  const x = load(0, 'f32')
  b.map([1], [[out, x.exp().log().sin().mul(x.erf()).add(x.sqrt())]], {
    loads: [b.input('float32', [1], [0.3])],
  })
  const c = b.build('chain')
  const contents = c.contents.map((o) => ({ dtype: o.dtype, data: Float64Array.from(o.data) }))
  contents[1].data[64] = 0.3
  const [result] = await runCase(createReferenceBackend({ float64: true }), { ...c, contents })
  expect(result[64]).toBeCloseTo(Math.sin(0.3) * erf(0.3) + Math.sqrt(0.3), 14)
})

describe('erf in float64', () => {
  // Abramowitz and Stegun, table 7.1; the last from erfc(4) = 1.541725790028e-8
  it.each([
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
  ])('erf(%d)', (x, want) => {
    expect(Math.abs(erf(x) - want)).toBeLessThan(3e-16)
    expect(erf(-x)).toBe(-erf(x))
  })
  it('special values', () => {
    expect([erf(0), erf(-0), erf(Infinity), erf(-Infinity), erf(NaN)]).toEqual([0, -0, 1, -1, NaN])
  })
})
