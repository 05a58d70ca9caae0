import { describe, expect, it } from 'vitest'
import { createReferenceBackend } from '../../../core/backends/reference/index.ts'
import { philoxStream } from '../../../core/philox.ts'
import { PlanBuilder, runCase } from '../../helpers/kernels.ts'

interface Problem {
  readonly q: number[]
  readonly k: number[]
  readonly v: number[]
  /** [B, Hq, Tq, D] and [B, Hkv, Tk, D]. */
  readonly shape: readonly [B: number, Hq: number, Hkv: number, Tq: number, Tk: number, D: number]
  readonly causal?: boolean
  readonly mask?: number[]
  readonly cuSeqlens?: number[]
  readonly kvLength?: number
  readonly dropout?: readonly [p: number, key0: number]
  readonly scale?: number
  readonly dOut?: number[]
}

/** o, lse, and with dOut dq, dk and dv, in float64. */
async function solve(p: Problem) {
  const [B, Hq, Hkv, Tq, Tk, D] = p.shape
  const b = new PlanBuilder()
  const inputs = [
    b.input('float32', [B, Hq, Tq, D], p.q),
    b.input('float32', [B, Hkv, Tk, D], p.k),
    b.input('float32', [B, Hkv, Tk, D], p.v),
  ]
  const optional = [
    ...(p.mask ? [b.input('float32', [B, Hq, Tq, Tk], p.mask)] : []),
    ...(p.cuSeqlens ? [b.input('int32', [p.cuSeqlens.length], p.cuSeqlens)] : []),
  ]
  const attrs = { causal: !!p.causal, mask: !!p.mask, packed: !!p.cuSeqlens, dropout: !!p.dropout }
  const scalars = [b.scalar(p.scale ?? 1), b.scalar(p.kvLength ?? Tk, 'i32')]
  if (p.dropout) {
    scalars.push(b.scalar(p.dropout[0]))
    for (const word of [p.dropout[1], 0, 0, 0]) scalars.push(b.scalar(word, 'i32'))
  }
  const outputs = [b.output('float32', [B, Tq, Hq, D]), b.output('float32', [B, Hq, Tq])]
  b.call('attention', [...inputs, ...optional], [...outputs], attrs, scalars)
  if (p.dOut) {
    const dOut = b.input('float32', [B, Tq, Hq, D], p.dOut)
    const gradients = [b.output('float32', [B, Tq, Hq, D]), b.output('float32', [B, Tk, Hkv, D])]
    gradients.push(b.output('float32', [B, Tk, Hkv, D]))
    b.call('attentionBackward', [dOut, ...inputs, ...outputs, ...optional], gradients, attrs, scalars)
    outputs.push(...gradients)
  }
  const c = b.build('attention')
  const exact = [p.q, p.k, p.v]
  const contents = c.contents.map((o, i) => {
    const data = Float64Array.from(o.data)
    if (i < 3) data.set(exact[i], 64) // not rounded to f32
    return { dtype: o.dtype, data }
  })
  const after = await runCase(createReferenceBackend({ float64: true }), { ...c, contents })
  const [o, lse, dq, dk, dv] = outputs.map((t) => [...after[t.buffer].slice(64, -64)])
  return { o, lse, dq, dk, dv }
}

const closeTo = (got: number[], want: number[]) => {
  expect(got.length).toBe(want.length)
  got.forEach((x, i) => {
    if (Number.isFinite(want[i])) expect(x, `element ${i}`).toBeCloseTo(want[i], 7)
    else expect(x).toBe(want[i])
  })
}

// scores of the only query: 0 and ln 3, so the probabilities are 1/4 and 3/4
const two: Problem = { shape: [1, 1, 1, 1, 2, 1], q: [1], k: [0, Math.log(3)], v: [4, 8] }

describe('attention by hand', () => {
  it('is the mean of the values by softmax of the scores', async () => {
    const { o, lse } = await solve(two)
    closeTo(o, [7])
    closeTo(lse, [Math.log(4)])
  })
  it('scales the scores and adds the mask', async () => {
    closeTo((await solve({ ...two, k: [0, 2 * Math.log(3)], scale: 0.5 })).o, [7])
    closeTo((await solve({ ...two, mask: [0, -Infinity] })).o, [4])
    closeTo((await solve({ ...two, mask: [-Infinity, -Infinity] })).o, [0])
    closeTo((await solve({ ...two, mask: [-Infinity, -Infinity] })).lse, [-Infinity])
  })
  it('does not read keys beyond kvLength', async () => {
    closeTo((await solve({ ...two, kvLength: 1, k: [0, NaN], v: [4, NaN] })).o, [4])
  })
  it('causal: the last query sees all of kvLength', async () => {
    const zero = { shape: [1, 1, 1, 2, 3, 1], q: [0, 0], k: [0, 0, 0], v: [3, 5, 10], causal: true } as const
    const p: Problem = { ...zero, q: [...zero.q], k: [...zero.k], v: [...zero.v] }
    closeTo((await solve(p)).o, [4, 6])
    closeTo((await solve({ ...p, kvLength: 2 })).o, [3, 4])
    closeTo((await solve({ ...p, kvLength: 1 })).o, [0, 3])
  })
  it('packed: queries see their own segment, and nothing behind the last', async () => {
    const p: Problem = {
      shape: [1, 1, 1, 4, 4, 1],
      q: [0, 0, 0, 0],
      k: [0, 0, 0, 0],
      v: [1, 2, 4, 8],
      cuSeqlens: [0, 1, 3],
    }
    closeTo((await solve(p)).o, [1, 3, 3, 0])
    closeTo((await solve({ ...p, causal: true })).o, [1, 2, 3, 0])
    closeTo((await solve(p)).lse, [0, Math.log(2), Math.log(2), -Infinity])
  })
  it('grouped: query heads share key heads in order; the output is [B, T, H, D]', async () => {
    const p: Problem = {
      shape: [1, 4, 2, 2, 1, 1],
      q: [0, 0, 0, 0, 0, 0, 0, 0],
      k: [0, 0],
      v: [5, 9],
    }
    closeTo((await solve(p)).o, [5, 5, 9, 9, 5, 5, 9, 9])
  })
  it('drops by the philox stream and divides by 1 - p', async () => {
    const T = 40
    const ones = new Array<number>(T).fill(1)
    const p: Problem = {
      shape: [1, 1, 1, 1, T, 1],
      q: [0],
      k: new Array<number>(T).fill(0),
      v: ones,
      dropout: [0.25, 99],
    }
    const word = philoxStream(99, 0, 0, 0)
    const kept = ones.filter((_, e) => (word(e) >>> 8) / 2 ** 24 >= 0.25).length
    expect(kept).toBeGreaterThan(20)
    expect(kept).toBeLessThan(T)
    closeTo((await solve(p)).o, [kept / T / 0.75])
  })
})

describe('attentionBackward is the finite difference of attention', () => {
  // fixed numbers of no pattern
  const numbers = (n: number, seed: number) =>
    Array.from({ length: n }, (_, i) => Math.sin((i + 1) * (seed + 1.7) * 12.9))
  const problem = (shape: Problem['shape'], more: Partial<Problem> = {}): Problem => {
    const [B, Hq, Hkv, Tq, Tk, D] = shape
    const sizes = [B * Hq * Tq * D, B * Hkv * Tk * D, B * Hkv * Tk * D]
    const [q, k, v] = sizes.map((n, i) => numbers(n, i))
    // multiples of 1/64 are exact in f32
    const dOut = numbers(sizes[0], 9).map((x) => Math.round(x * 64) / 64)
    return { shape, q, k, v, dOut, scale: 0.75, ...more }
  }
  const cases: [string, Problem][] = [
    ['plain', problem([2, 2, 2, 3, 4, 2])],
    ['causal and grouped', problem([1, 4, 2, 3, 3, 2], { causal: true })],
    ['cached', problem([1, 2, 1, 2, 5, 2], { causal: true, kvLength: 4 })],
    [
      'masked',
      problem([1, 1, 1, 3, 3, 2], { mask: [0, 1, -1, 0.5, -Infinity, 0, -Infinity, -Infinity, -Infinity] }),
    ],
    ['packed', problem([1, 2, 2, 5, 5, 2], { cuSeqlens: [0, 2, 4] })],
    ['dropout', problem([1, 2, 2, 4, 4, 2], { dropout: [0.5, 7] })],
  ]

  it.each(cases)('%s', async (_, p) => {
    const [, Hq, Hkv, Tq, Tk, D] = p.shape
    const { dq, dk, dv } = await solve(p)
    const loss = async (changed: Problem) => {
      const { o } = await solve({ ...changed, dOut: undefined })
      return o.reduce((sum, x, i) => sum + x * p.dOut![i], 0)
    }
    const h = 1e-5
    for (const [name, gradient, H, T] of [
      ['q', dq, Hq, Tq],
      ['k', dk, Hkv, Tk],
      ['v', dv, Hkv, Tk],
    ] as const)
      for (let i = 0; i < p[name].length; i++) {
        const moved = (by: number) => loss({ ...p, [name]: p[name].with(i, p[name][i] + by) })
        const numeric = ((await moved(h)) - (await moved(-h))) / (2 * h)
        // [B, H, T, D] to [B, T, H, D]
        const [d, t, head, batch] = [
          i % D,
          Math.floor(i / D) % T,
          Math.floor(i / (D * T)) % H,
          Math.floor(i / (D * T * H)),
        ]
        expect(gradient[((batch * T + t) * H + head) * D + d], `${name}[${i}]`).toBeCloseTo(numeric, 6)
      }
  })
})
