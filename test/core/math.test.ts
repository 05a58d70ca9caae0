import { describe, expect, it } from 'vitest'
import { erf } from '../../core/backends/reference/erf.ts'
import { evaluator } from '../../core/backends/reference/program.ts'
import { constant, type Expr, load, postorder } from '../../core/expr.ts'
import { expandMath } from '../../core/math.ts'

/**
 * The expansion of `make(x, y)` as an f32 function: every operation is rounded to f32, as on the other backends.
 * `contracted`: as a compiler does it that fuses a product into every sum that takes it.
 */
function f32Function(
  make: (x: Expr, y: Expr) => Expr,
  contracted = false,
): (x: number, y?: number) => number {
  const order = postorder([expandMath(make(load(0, 'f32'), load(1, 'f32')))])
  const isSum = (e: Expr) => e.op === 'add' || e.op === 'sub'
  const isFused = (e: Expr) =>
    contracted && e.op === 'mul' && order.every((user) => !user.args.includes(e) || isSum(user))
  const values = new Float64Array(order.length)
  const steps = order.map((e, out) => ({
    e,
    out,
    args: e.args.map((a) => order.indexOf(a)),
    evaluate: e.args.length > 0 ? evaluator(e) : null,
    round: e.type === 'f32' && !isFused(e),
  }))
  return (x, y = 0) => {
    for (const { e, out, args, evaluate, round } of steps) {
      const value = evaluate
        ? evaluate(values[args[0]], values[args[1]], values[args[2]])
        : e.op === 'load'
          ? [x, y][e.value]
          : e.value
      values[out] = round ? Math.fround(value) : value
    }
    return values[order.length - 1]
  }
}

const floats = new Float32Array(1)
const ints = new Int32Array(floats.buffer)

/** f32 numbers of both signs, evenly spread over the bit patterns from `lo` to `hi` (so over the magnitudes). */
function* magnitudes(lo: number, hi: number, count: number): Generator<number> {
  floats[0] = lo
  const first = ints[0]
  floats[0] = hi
  const step = Math.max(1, Math.floor((ints[0] - first) / count))
  for (let b = first, last = ints[0]; b <= last; b += step) {
    ints[0] = b
    const x = floats[0]
    yield x
    yield -x
  }
}

function* linear(lo: number, hi: number, count: number): Generator<number> {
  for (let i = 0; i <= count; i++) yield Math.fround(lo + ((hi - lo) * i) / count)
}

const SMALLEST_NORMAL = 2 ** -126

/** Largest relative error, where results below the normal range count against its smallest number. */
function worst(f: (x: number) => number, exact: (x: number) => number, inputs: Iterable<number>) {
  let error = 0
  let at = NaN
  for (const x of inputs) {
    const want = exact(x)
    const got = f(x)
    if (Object.is(Math.fround(want), got)) continue
    const e = Math.abs(got - want) / Math.max(Math.abs(want), SMALLEST_NORMAL)
    if (!(e <= error)) [error, at] = [e, x]
  }
  return { error, at }
}

const EXACT = {
  exp: Math.exp,
  expm1: Math.expm1,
  log: Math.log,
  log1p: Math.log1p,
  tanh: Math.tanh,
  erf,
} as const

/** The bounds are what was measured, rounded up; one ulp is 0.6e-7 to 1.2e-7. */
const BOUNDS: Record<keyof typeof EXACT, { ranges: [number, number][]; bound: number }> = {
  exp: { ranges: [[1e-30, 87.3]], bound: 1.1e-7 },
  expm1: { ranges: [[1e-45, 88.7]], bound: 2e-7 },
  log: { ranges: [[1e-45, 3.4e38]], bound: 1.3e-7 },
  log1p: { ranges: [[1e-45, 3.4e38]], bound: 2e-7 },
  tanh: { ranges: [[1e-45, 30]], bound: 3e-7 },
  erf: { ranges: [[1e-37, 30]], bound: 3e-7 },
}

describe.each(Object.keys(EXACT) as (keyof typeof EXACT)[])('%s', (name) => {
  const f = f32Function((x) => x[name]())
  const { ranges, bound } = BOUNDS[name]
  const needsPositive = name === 'log'
  const inDomain = (x: number) => (needsPositive ? x > 0 : name === 'log1p' ? x > -1 : true)

  it.each([false, true])(`has a relative error of at most ${bound}; products fused: %s`, (contracted) => {
    const g = f32Function((x) => x[name](), contracted)
    const inputs = ranges.flatMap(([lo, hi]) => [...magnitudes(lo, hi, 8000)])
    inputs.push(...linear(-6, 6, 10000), ...linear(0.4, 2.5, 5000))
    const { error, at } = worst(g, EXACT[name], inputs.filter(inDomain))
    expect(error, `at ${at}`).toBeLessThanOrEqual(bound)
  })

  it('keeps NaN and the sign of zero', () => {
    expect(f(NaN)).toBeNaN()
    if (name !== 'log') for (const x of [0, -0]) expect(f(x)).toBe(EXACT[name](x))
  })

  it('has the right limits', () => {
    for (const x of [Infinity, -Infinity]) expect(f(x)).toBe(EXACT[name](x))
  })

  it('leaves no math function in the expansion, and is short', () => {
    const ops = postorder([expandMath(load(0, 'f32')[name]())])
    expect(ops.filter((e) => e.op in EXACT)).toEqual([])
    expect(ops.filter((e) => e.args.length > 0).length).toBeLessThanOrEqual(48)
  })
})

describe('exp at the edges', () => {
  const f = f32Function((x) => x.exp())
  it('overflows where f32 does', () => {
    expect(f(88.7229)).toBe(Infinity)
    expect(f(88.7228)).toBeLessThan(Infinity)
    expect(f(1e30)).toBe(Infinity)
  })
  it('underflows through the denormals', () => {
    for (const x of linear(-104.5, -87, 500)) {
      const error = Math.abs(f(x) - Math.exp(x))
      expect(error).toBeLessThanOrEqual(Math.max(2 ** -149, 2e-7 * Math.exp(x)))
    }
    expect(f(-104)).toBe(0)
    expect(f(-1e30)).toBe(0)
  })
  it('is exactly 1 at 0', () => expect(f(0)).toBe(1))
})

describe('saturating functions', () => {
  it.each(['tanh', 'erf'] as const)('%s never leaves [-1, 1] and reaches 1', (name) => {
    const f = f32Function((x) => x[name]())
    for (const x of linear(2, 12, 5000)) expect(f(x)).toBeLessThanOrEqual(1)
    expect(f(20)).toBe(1)
    expect(f(-20)).toBe(-1)
  })
  it('tanh of a denormal is the denormal', () =>
    expect(f32Function((x) => x.tanh())(2 ** -140)).toBe(2 ** -140))
})

describe('logarithms outside their domain', () => {
  const log = f32Function((x) => x.log())
  const log1p = f32Function((x) => x.log1p())
  it('log', () => {
    expect([log(0), log(-0)]).toEqual([-Infinity, -Infinity])
    for (const x of [-1, -(2 ** -149), -Infinity]) expect(log(x)).toBeNaN()
    expect(log(1)).toBe(0)
  })
  it('log1p', () => {
    expect(log1p(-1)).toBe(-Infinity)
    for (const x of [-1.0000001, -2, -Infinity]) expect(log1p(x)).toBeNaN()
  })
})

describe.each(['sin', 'cos'] as const)('%s', (name) => {
  const f = f32Function((x) => x[name]())
  const fused = f32Function((x) => x[name](), true)
  const largestError = (inputs: Iterable<number>) => {
    let error = 0
    for (const x of inputs)
      for (const g of [f, fused]) error = Math.max(error, Math.abs(g(x) - Math[name](x)))
    return error
  }
  it('has an absolute error below 1.5e-7 up to 2e5', () => {
    expect(largestError(linear(-10, 10, 10000))).toBeLessThan(1.1e-7)
    expect(largestError(linear(-1e4, 1e4, 10001))).toBeLessThan(1.5e-7)
    expect(largestError(linear(-2e5, 2e5, 10003))).toBeLessThan(1.5e-7)
  })
  it('stays within [-1, 1] for any finite argument', () => {
    for (const x of magnitudes(1e5, 3.4e38, 5000)) expect(Math.abs(f(x))).toBeLessThanOrEqual(1.000001)
  })
  it('has its special values', () => {
    for (const x of [NaN, Infinity, -Infinity]) expect(f(x)).toBeNaN()
    for (const x of [0, -0]) expect(f(x)).toBe(Math[name](x))
  })
})

it('sin is relatively exact near 0', () => {
  const { error } = worst(
    f32Function((x) => x.sin()),
    Math.sin,
    magnitudes(1e-40, 1, 20000),
  )
  expect(error).toBeLessThan(1.5e-7)
})

describe('pow', () => {
  const f = f32Function((x, y) => x.pow(y)) as (x: number, y: number) => number
  const odd = [1, -1, 3, -3, 16777215]
  const even = [2, -2, 4, 16777216, 1e30]
  const fractions = [0.5, -0.5, 2.5, 1e-20]

  it.each([false, true])('has a relative error below 1e-6; products fused: %s', (contracted) => {
    const g = f32Function((x, y) => x.pow(y), contracted)
    let error = 0
    let at = ''
    for (let i = 0; i < 20000; i++) {
      // log2(x) log-uniform, then y so that the result is anywhere in the range
      const x = Math.fround(2 ** ((i % 2 ? 1 : -1) * 2 ** (((i * 7919) % 3000) / 100 - 23)))
      const y = Math.fround((((i * 104729) % 25000) / 100 - 125) / Math.log2(x))
      const want = x ** y
      if (!(want > SMALLEST_NORMAL && want < 3.4e38) || Math.abs(y) > 1e9) continue
      const e = Math.abs(g(x, y) - want) / want
      if (!(e <= error)) [error, at] = [e, `${x} ** ${y}`]
    }
    expect(error, at).toBeLessThan(1e-6)
  })

  it('is 1 for an exponent of 0 and a base of 1', () => {
    for (const x of [0, -0, 1, -1, NaN, Infinity, -Infinity, 3]) {
      expect(f(x, 0)).toBe(1)
      expect(f(x, -0)).toBe(1)
      expect(f(1, x)).toBe(1)
    }
  })

  it('gives NaN for NaN, and for a negative base with a fractional exponent', () => {
    expect(f(NaN, 2)).toBeNaN()
    expect(f(2, NaN)).toBeNaN()
    for (const y of fractions) expect(f(-2, y)).toBeNaN()
  })

  it('takes the sign of a negative base for odd exponents only', () => {
    expect(f(-2, 3)).toBeCloseTo(-8, 5)
    expect(f(-2, -3)).toBeCloseTo(-0.125, 6)
    expect(f(-2, 2)).toBeCloseTo(4, 5)
    expect(f(-1, 16777215)).toBe(-1)
    expect(f(-1, 16777216)).toBe(1)
    expect(f(-1, Infinity)).toBe(1)
    expect(f(-1, -Infinity)).toBe(1)
  })

  it('follows IEEE 754 at 0 and infinity', () => {
    for (const base of [0, -0, Infinity, -Infinity])
      for (const y of [...odd, ...even, ...fractions, Infinity, -Infinity])
        expect(f(base, y), `${base} ** ${y}`).toBe(base ** y)
    for (const base of [0.5, -0.5, 2, -2])
      for (const y of [Infinity, -Infinity]) expect(f(base, y), `${base} ** ${y}`).toBe(base ** y)
  })

  it('overflows and underflows for huge exponents', () => {
    expect(f(1.5, 1e30)).toBe(Infinity)
    expect(f(1.5, -1e30)).toBe(0)
    expect(f(1.0000001, 3e38)).toBe(Infinity)
    expect(f(0.99999994, 3e38)).toBe(0)
    expect(f(2, 127)).toBeCloseTo(2 ** 127, -33)
    expect(f(2 ** -149, 1)).toBe(2 ** -149)
  })

  it.each([0, 0.5, 1, 2, 3, -0.5, -1, -2, 1.5, -3])('takes the constant exponent %d', (y) => {
    const g = f32Function((x) => x.pow(y))
    for (const x of [0.1, 1, 2.5, 1000])
      expect(Math.abs(g(x) - Math.fround(x) ** y)).toBeLessThan(3e-7 * Math.fround(x) ** y)
    if (Number.isInteger(y)) for (const x of [0, -0, Infinity, -Infinity]) expect(g(x)).toBe(x ** y)
  })

  it('refuses integers', () => {
    expect(() => expandMath(load(0, 'i32').pow(2))).toThrow(/\[pow\].*i32/)
  })
})

it('expands inside larger expressions and shares what is equal', () => {
  const x = load(0, 'f32')
  const e = x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1))
  const once = expandMath(e)
  expect(expandMath(e)).toBe(once)
  expect(expandMath(e.add(e))).toBe(once.add(once))
  expect(expandMath(constant(2, 'f32').add(x))).toBe(constant(2, 'f32').add(x))
})
