/** Kernels of the reference on examples small enough to work out by hand. */
import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { acc, address, load, scalar } from '../../../core/expr.ts'
import { philox4x32 } from '../../../core/philox.ts'
import type { CallKernel } from '../../../core/plan/kernel.ts'
import { iota } from '../../helpers/kernel-plan.ts'
import { PlanBuilder, type PlanTensor, runCase } from '../../helpers/kernels.ts'

/** The elements of some tensors of the plan after it ran. */
async function results(b: PlanBuilder, ...tensors: PlanTensor[]): Promise<number[][]> {
  const c = b.build('example')
  const buffers = await runCase(createReferenceBackend(), c)
  return tensors.map((t) => [...buffers[t.buffer].slice(64, -64)])
}

type Shaped = readonly [shape: number[], data: number[], dtype?: 'int32']

/** A call on float32 (or int32) inputs, with what its outputs hold afterwards. */
async function call(
  name: CallKernel['name'],
  inputs: readonly Shaped[],
  outputs: readonly (readonly [number[], 'int32'?])[],
  attrs: CallKernel['attrs'] = {},
  scalars: readonly (readonly [number, 'f32' | 'i32'])[] = [],
): Promise<number[][]> {
  const b = new PlanBuilder()
  const given = inputs.map(([shape, data, dtype]) => b.input(dtype ?? 'float32', shape, data))
  const taken = outputs.map(([shape, dtype]) => b.output(dtype ?? 'float32', shape))
  b.call(
    name,
    given,
    taken,
    attrs,
    scalars.map(([value, type]) => b.scalar(value, type)),
  )
  return results(b, ...taken)
}

const f32 = Math.fround
const rounded = (values: number[], digits = 5) => values.map((v) => Number(v.toFixed(digits)))

describe('map', () => {
  it('broadcasts by stride 0 and walks backwards by a negative stride', async () => {
    const b = new PlanBuilder()
    const row = b.input('float32', [3], [1, 2, 3])
    const column = b.input('float32', [2], [10, 20])
    const out = b.output('float32', [2, 3])
    const loads = [
      { ...row, offset: 2, strides: [0, -1] },
      { ...column, strides: [1, 0] },
    ]
    b.map([2, 3], [[out, load(0, 'f32').add(load(1, 'f32'))]], { loads })
    expect(await results(b, out)).toEqual([[13, 12, 11, 23, 22, 21]])
  })

  it('gives addresses and scalars', async () => {
    const b = new PlanBuilder()
    const out = b.output('int32', [4])
    const scalars = [b.scalar(100.9, 'i32')]
    b.map([4], [[out, address(0).add(scalar(0, 'i32'))]], { loads: [iota([3], 5)], scalars })
    expect(await results(b, out)).toEqual([[105, 108, 111, 114]])
  })

  it('evaluates all stores of an element before it writes', async () => {
    const b = new PlanBuilder()
    const [p, q] = [b.inPlace('float32', [2], [1, 2]), b.inPlace('float32', [2], [10, 20])]
    b.map(
      [2],
      [
        [p, load(1, 'f32')],
        [q, load(0, 'f32')],
      ],
      { loads: [p, q] },
    )
    expect(await results(b, p, q)).toEqual([
      [10, 20],
      [1, 2],
    ])
  })

  it('rounds every operation to f32', async () => {
    const b = new PlanBuilder()
    const out = b.output('float32', [1])
    const x = load(0, 'f32')
    b.map([1], [[out, x.add(1).sub(1)]], { loads: [b.input('float32', [1], [1e-8])] })
    expect(await results(b, out)).toEqual([[0]])
  })

  it('wraps integers, and divides by zero to 0', async () => {
    const b = new PlanBuilder()
    const x = load(0, 'i32')
    const input = b.input('int32', [2], [2 ** 31 - 1, -7])
    const stores = [x.add(1), x.mul(x), x.div(2), x.rem(4), x.div(0), x.rem(0)]
    const outs = stores.map(() => b.output('int32', [2]))
    b.map(
      [2],
      stores.map((e, i) => [outs[i], e]),
      { loads: [input] },
    )
    expect(await results(b, ...outs)).toEqual([
      [-(2 ** 31), -6],
      [1, 49],
      [2 ** 30 - 1, -3],
      [3, -3],
      [0, 0],
      [0, 0],
    ])
  })

  it('rounds to even and converts with saturation', async () => {
    const b = new PlanBuilder()
    const values = [0.5, 1.5, 2.5, -0.5, -1.5, 3e9, -3e9, NaN]
    const x = load(0, 'f32')
    const [r, i] = [b.output('float32', [8]), b.output('int32', [8])]
    b.map(
      [8],
      [
        [r, x.round()],
        [i, x.toI32()],
      ],
      { loads: [b.input('float32', [8], values)] },
    )
    expect(await results(b, r, i)).toEqual([
      [0, 2, 2, -0, -2, 3e9, -3e9, NaN],
      [0, 1, 2, 0, -1, 2 ** 31 - 1, -(2 ** 31), 0],
    ])
  })

  it('widens 16-bit floats', async () => {
    const b = new PlanBuilder()
    const half = b.input('float16', [5], [0x3c00, 0xc100, 0x0001, 0x7c00, 0x7bff])
    const brain = b.input('bfloat16', [5], [0x3f80, 0xc020, 0x0001, 0x7f80, 0x4049])
    const [h, t] = [b.output('float32', [5]), b.output('float32', [5])]
    b.map([5], [[h, load(0, 'f32')]], { loads: [half] })
    b.map([5], [[t, load(0, 'f32')]], { loads: [brain] })
    expect(await results(b, h, t)).toEqual([
      [1, -2.5, 2 ** -24, Infinity, 65504],
      [1, -2.5, 2 ** -133, Infinity, 3.140625],
    ])
  })
})

describe('reduce', () => {
  it('combines the last dimensions and then evaluates the stores', async () => {
    const b = new PlanBuilder()
    const loads = [
      b.input('float32', [2, 3], [1, 2, 3, 4, 5, 6]),
      { ...b.input('float32', [2], [10, 100]), strides: [1, 0] },
    ]
    const out = b.output('float32', [2])
    const value = acc('f32').mul(load(1, 'f32'))
    b.reduce('sum', [2, 3], 1, load(0, 'f32'), [[{ ...out, strides: [1, 0] }, value]], { loads })
    expect(await results(b, out)).toEqual([[60, 1500]])
  })

  it.each([
    ['sum', 0, 0],
    ['prod', 1, 1],
    ['max', -Infinity, -(2 ** 31)],
    ['min', Infinity, 2 ** 31 - 1],
  ] as const)('%s of nothing', async (combine, float, int) => {
    const b = new PlanBuilder()
    const [f, i] = [b.output('float32', [1]), b.output('int32', [1])]
    const [fIn, iIn] = [b.input('float32', [0], []), b.input('int32', [0], [])]
    b.reduce(combine, [1, 0], 1, load(0, 'f32'), [[{ ...f, strides: [1, 0] }, acc('f32')]], {
      loads: [{ ...fIn, strides: [0, 1] }],
    })
    b.reduce(combine, [1, 0], 1, load(0, 'i32'), [[{ ...i, strides: [1, 0] }, acc('i32')]], {
      loads: [{ ...iIn, strides: [0, 1] }],
    })
    expect(await results(b, f, i)).toEqual([[float], [int]])
  })

  it('max is NaN where any element is', async () => {
    const b = new PlanBuilder()
    const out = b.output('float32', [2])
    const loads = [b.input('float32', [2, 3], [1, NaN, 3, -5, -4, -6])]
    b.reduce('max', [2, 3], 1, load(0, 'f32'), [[{ ...out, strides: [1, 0] }, acc('f32')]], { loads })
    expect(await results(b, out)).toEqual([[NaN, -4]])
  })
})

describe('matmul', () => {
  it('multiplies, and adds a bias', async () => {
    const a: Shaped = [
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ]
    const b: Shaped = [
      [3, 2],
      [1, 0, 0, 1, 2, 2],
    ]
    expect(await call('matmul', [a, b], [[[2, 2]]], { bias: false })).toEqual([[7, 8, 16, 17]])
    const biased = await call('matmul', [a, b, [[2], [100, 200]]], [[[2, 2]]], { bias: true })
    expect(biased).toEqual([[107, 208, 116, 217]])
  })

  it('reads transposed and broadcast operands', async () => {
    const p = new PlanBuilder()
    const a = p.input('float32', [2, 1, 2], [1, 2, 3, 4])
    const w = p.input('float32', [3, 2], [1, 0, 0, 1, 1, 1]) // [N, K]
    const out = p.output('float32', [2, 1, 3])
    p.call('matmul', [a, { ...w, shape: [2, 2, 3], strides: [0, 1, 2] }], [out], { bias: false })
    expect(await results(p, out)).toEqual([[1, 2, 3, 3, 4, 7]])
  })
})

describe('rows', () => {
  it('softmax and log-softmax', async () => {
    const x: Shaped = [
      [2, 2],
      [0, Math.log(3), 5, -Infinity],
    ]
    const [y] = await call('softmax', [x], [[[2, 2]]], { log: false })
    expect(rounded(y)).toEqual([0.25, 0.75, 1, 0])
    const [z] = await call('softmax', [x], [[[2, 2]]], { log: true })
    expect(rounded(z)).toEqual([...rounded([Math.log(0.25), Math.log(0.75)]), 0, -Infinity])
    const nothing: Shaped = [
      [1, 2],
      [-Infinity, -Infinity],
    ]
    expect(await call('softmax', [nothing], [[[1, 2]]], { log: false })).toEqual([[NaN, NaN]])
  })

  it('layerNorm', async () => {
    const x: Shaped = [
      [1, 4],
      [1, 3, 1, 3],
    ]
    const [y, mean, rstd] = await call(
      'layerNorm',
      [x, [[4], [1, 2, 3, 4]], [[4], [0, 0, 0, 10]]],
      [[[1, 4]], [[1]], [[1]]],
      { weight: true, bias: true },
      [[3, 'f32']],
    )
    // mean 2, variance 1, rstd = 1 / sqrt(1 + 3)
    expect([y, mean, rstd]).toEqual([[-0.5, 1, -1.5, 12], [2], [0.5]])
  })

  it('layerNorm with a bias alone', async () => {
    const inputs: Shaped[] = [
      [
        [1, 2],
        [-1, 1],
      ],
      [[2], [5, 6]],
    ]
    const [y] = await call('layerNorm', inputs, [[[1, 2]], [[1]], [[1]]], { weight: false, bias: true }, [
      [0, 'f32'],
    ])
    expect(y).toEqual([4, 7])
  })

  it('rmsNorm', async () => {
    const inputs: Shaped[] = [
      [
        [1, 2],
        [1, 7],
      ],
      [[2], [1, 10]],
    ]
    const [y, rstd] = await call('rmsNorm', inputs, [[[1, 2]], [[1]]], { weight: true }, [[0, 'f32']])
    expect(rounded([...y, ...rstd])).toEqual([0.2, 14, 0.2]) // the mean square is 25
  })

  it('argmax: first of the largest, NaN above all', async () => {
    const x: Shaped = [
      [3, 3],
      [1, 5, 5, 2, NaN, NaN, -1, -2, -3],
    ]
    expect(await call('argmax', [x], [[[3], 'int32']])).toEqual([[1, 1, 0]])
  })
})

describe('gradients of the norms are the finite differences of the forward pass', () => {
  it.each(['layerNorm', 'rmsNorm'] as const)('%s', async (name) => {
    const backend = createReferenceBackend({ float64: true })
    const x = [0.3, -1.2, 2, 0.7, 1.1, -0.4]
    const dy = [1, -2, 0.5, 3, 0.1, -1]
    const weight = [0.9, 1.3, -0.7]
    const isLayerNorm = name === 'layerNorm'
    const attrs: CallKernel['attrs'] = isLayerNorm ? { weight: true, bias: false } : { weight: true }
    const run = async (input: number[], backward: boolean) => {
      const b = new PlanBuilder()
      const [xs, w, g] = [
        b.input('float32', [2, 3], input),
        b.input('float32', [3], weight),
        b.input('float32', [2, 3], dy),
      ]
      const y = b.output('float32', [2, 3])
      const stats = isLayerNorm
        ? [b.output('float32', [2]), b.output('float32', [2])]
        : [b.output('float32', [2])]
      b.call(name, [xs, w], [y, ...stats], attrs, [b.scalar(0.01)])
      const dx = b.output('float32', [2, 3])
      if (backward) b.call(`${name}Backward`, [g, xs, ...stats, w], [dx], { weight: true })
      const c = b.build('norm')
      const contents = c.contents.map((o) => ({ dtype: o.dtype, data: Float64Array.from(o.data) }))
      contents[xs.buffer].data.set(input, 64) // not rounded to f32
      const after = await runCase(backend, { ...c, contents })
      return { y: after[y.buffer].slice(64, 70), dx: after[dx.buffer].slice(64, 70) }
    }
    const { dx } = await run(x, true)
    for (let i = 0; i < x.length; i++) {
      const h = 1e-5
      const plus = (await run(x.with(i, x[i] + h), false)).y
      const minus = (await run(x.with(i, x[i] - h), false)).y
      const numeric = dy.reduce((sum, g, j) => sum + (f32(g) * (plus[j] - minus[j])) / (2 * h), 0)
      expect(dx[i]).toBeCloseTo(numeric, 6)
    }
  })
})

describe('indexing', () => {
  const table: Shaped = [
    [3, 2],
    [1, 2, 3, 4, 5, 6],
  ]
  it('gatherRows', async () => {
    const ids: Shaped = [[4], [2, 0, 3, -1], 'int32']
    expect(await call('gatherRows', [table, ids], [[[4, 2]]])).toEqual([[5, 6, 1, 2, NaN, NaN, NaN, NaN]])
  })
  it('scatterAddRows', async () => {
    const ids: Shaped = [[3], [1, 7, 1], 'int32']
    expect(await call('scatterAddRows', [table, ids], [[[3, 2]]])).toEqual([[0, 0, 6, 8, 0, 0]])
  })
  it('gather', async () => {
    const x: Shaped = [
      [2, 3],
      [1, 2, 3, 4, 5, 6],
    ]
    const index: Shaped = [[2, 2], [2, 0, 1, 3], 'int32']
    expect(await call('gather', [x, index], [[[2, 2]]])).toEqual([[3, 1, 5, NaN]])
    const ints: Shaped = [x[0], x[1], 'int32']
    expect(await call('gather', [ints, index], [[[2, 2], 'int32']])).toEqual([[3, 1, 5, 0]])
  })
})

describe('philox', () => {
  it('gives the known answers of Random123', () => {
    const hex = (words: readonly number[]) => words.map((w) => w.toString(16).padStart(8, '0')).join(' ')
    expect(hex(philox4x32([0, 0, 0, 0], [0, 0]))).toBe('6627e8d5 e169c58d bc57ac4c 9b00dbd8')
    const ones = 0xffffffff
    expect(hex(philox4x32([ones, ones, ones, ones], [ones, ones]))).toBe(
      '408f276d 41c83b0e a20bc7c6 6d5451fd',
    )
    const pi = philox4x32([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0])
    expect(hex(pi)).toBe('d16cfe09 94fdcceb 5001e420 24126ea1')
  })

  it('lays out four blocks word by word', async () => {
    const counter: [number, 'i32'][] = [
      [-1, 'i32'],
      [5, 'i32'],
    ]
    const key: [number, 'i32'][] = [
      [1, 'i32'],
      [2, 'i32'],
    ]
    const [words] = await call('philox', [], [[[18], 'int32']], {}, [...key, ...counter])
    // counter 0xffffffff + 1 carries into the high word
    const block = (n: number) => philox4x32(n === 0 ? [0xffffffff, 5, 0, 0] : [n - 1, 6, 0, 0], [1, 2])
    expect(words[0] >>> 0).toBe(block(0)[0])
    expect(words[1] >>> 0).toBe(block(1)[0])
    expect(words[4] >>> 0).toBe(block(0)[1])
    expect(words[15] >>> 0).toBe(block(3)[3])
    expect(words[17] >>> 0).toBe(block(5)[0])
  })
})
