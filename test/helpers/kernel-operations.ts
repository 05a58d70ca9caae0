/** Map kernels for every operation of the scalar IR, and random expressions. */
import { constant, type Expr, load, type MathOp } from '../../core/expr.ts'
import { numel } from '../../core/shape.ts'
import { expandView, permuteView } from '../../core/view.ts'
import {
  DTYPE_OF,
  f32Loads,
  floats,
  type KernelCase,
  PlanBuilder,
  type PlanTensor,
  Random,
  viewed,
} from './kernel-plan.ts'

const [x, y] = f32Loads(2)

// --- operations ---

const FINITE = [
  0, -0, 0.5, -0.5, 1, -1, 1.5, -1.5, 2.5, -2.5, 3.49, -3.51, 7, 1e-3, 123456.75, -8388609, 1e10, -1e10,
  1e-30,
]
const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, 1, -2.5, 3e38, -3e38]
const INTS = [0, 1, -1, 2, 3, -5, 7, 31, 32, 33, -31, 65535, -65536, 1 << 30, -(2 ** 31), 2 ** 31 - 1]

/** All pairs of the values, as two tensors. */
function pairs(b: PlanBuilder, dtype: 'float32' | 'int32' | 'bool', values: readonly number[]): PlanTensor[] {
  const n = values.length
  const first = values.flatMap((v) => new Array<number>(n).fill(v))
  const second = values.flatMap(() => values)
  return [b.input(dtype, [n * n], first), b.input(dtype, [n * n], second)]
}

type Binary = (a: Expr, b: Expr) => Expr

const F32_OPS: Record<string, Binary> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b),
  min: (a, b) => a.min(b),
  max: (a, b) => a.max(b),
  neg: (a) => a.neg(),
  abs: (a) => a.abs(),
  sqrt: (a) => a.sqrt(),
  floor: (a) => a.floor(),
  ceil: (a) => a.ceil(),
  trunc: (a) => a.trunc(),
  round: (a) => a.round(),
  eq: (a, b) => a.eq(b),
  ne: (a, b) => a.ne(b),
  lt: (a, b) => a.lt(b),
  le: (a, b) => a.le(b),
  gt: (a, b) => a.gt(b),
  ge: (a, b) => a.ge(b),
  select: (a, b) => a.lt(1).select(a, b),
  toI32: (a) => a.toI32(),
  toBool: (a) => a.toBool(),
  bits: (a) => a.bitsToI32().and(0x7fffffff).bitsToF32(),
  pmin: (a, b) => b.lt(a).select(b, a),
  pmax: (a, b) => a.lt(b).select(b, a),
}

const I32_OPS: Record<string, Binary> = {
  add: (a, b) => a.add(b),
  sub: (a, b) => a.sub(b),
  mul: (a, b) => a.mul(b),
  div: (a, b) => a.div(b),
  rem: (a, b) => a.rem(b),
  min: (a, b) => a.min(b),
  max: (a, b) => a.max(b),
  neg: (a) => a.neg(),
  abs: (a) => a.abs(),
  and: (a, b) => a.and(b),
  or: (a, b) => a.or(b),
  xor: (a, b) => a.xor(b),
  not: (a) => a.not(),
  shl: (a, b) => a.shl(b),
  shr: (a, b) => a.shr(b),
  ushr: (a, b) => a.ushr(b),
  eq: (a, b) => a.eq(b),
  ne: (a, b) => a.ne(b),
  lt: (a, b) => a.lt(b),
  le: (a, b) => a.le(b),
  gt: (a, b) => a.gt(b),
  ge: (a, b) => a.ge(b),
  'shl by 5': (a) => a.shl(5),
  'ushr by 3': (a) => a.ushr(3),
  toF32: (a) => a.toF32(),
  toBool: (a) => a.toBool(),
  select: (a, b) => a.lt(b).select(a, 5),
}

const BOOL_OPS: Record<string, Binary> = {
  and: (a, b) => a.and(b),
  or: (a, b) => a.or(b),
  xor: (a, b) => a.xor(b),
  not: (a) => a.not(),
  eq: (a, b) => a.eq(b),
  ne: (a, b) => a.ne(b),
  toF32: (a) => a.toF32(),
  toI32: (a) => a.toI32(),
  select: (a, b) => a.select(b, a),
}

export function operationCases(): KernelCase[] {
  const families = [
    ['f32', F32_OPS, FINITE, false],
    ['f32', F32_OPS, SPECIAL, true],
    ['i32', I32_OPS, INTS, false],
    ['bool', BOOL_OPS, [0, 1], false],
  ] as const
  return families.flatMap(([type, ops, values, special]) =>
    Object.entries(ops).map(([name, make]) => {
      const b = new PlanBuilder()
      const loads = pairs(b, DTYPE_OF[type], values)
      const value = make(load(0, type), load(1, type))
      b.map([loads[0].shape[0]], [[b.output(DTYPE_OF[value.type], loads[0].shape), value]], { loads })
      // division and roots of finite numbers may give infinity and NaN as well
      const leaves = special || (type === 'f32' && (name === 'div' || name === 'sqrt'))
      const relative = name === 'mul' || name === 'add' || name === 'sub' || name === 'div' || name === 'sqrt'
      return b.build(`${type} ${name}${special ? ' of special values' : ''}`, {
        tolerance: relative ? 3e-7 : 0,
        special: leaves,
      })
    }),
  )
}

const MATH_RANGES: Record<MathOp, [number, number]> = {
  exp: [-80, 80],
  expm1: [-20, 20],
  log: [1e-6, 1e6],
  log1p: [-0.999, 1e3],
  sin: [-200, 200],
  cos: [-200, 200],
  tanh: [-10, 10],
  erf: [-5, 5],
  pow: [0.01, 10],
}

export function mathCases(): KernelCase[] {
  const cases: KernelCase[] = []
  for (const [op, [lo, hi]] of Object.entries(MATH_RANGES) as [MathOp, [number, number]][]) {
    const apply = (a: Expr, c: Expr) => (op === 'pow' ? a.pow(c) : a[op]())
    const b = new PlanBuilder()
    const n = 501
    const linear = Array.from({ length: n }, (_, i) => lo + ((hi - lo) * i) / (n - 1))
    const loads = [b.input('float32', [n], linear), floats(b, new Random(n), [n], 3)]
    b.map([n], [[b.output('float32', [n]), apply(x, y)]], { loads })
    cases.push(b.build(`math ${op}`, { tolerance: 1e-6 }))
    const s = new PlanBuilder()
    const special = pairs(s, 'float32', [NaN, Infinity, -Infinity, 0, -0, 1, -1, 2, -3, 0.5, -0.5, 100, -200])
    s.map(special[0].shape, [[s.output('float32', special[0].shape), apply(x, y)]], { loads: special })
    cases.push(s.build(`math ${op} of special values`, { tolerance: 1e-6, special: true }))
  }
  const b = new PlanBuilder()
  const loads = [floats(b, new Random(3), [200], 6)]
  const gelu = x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1))
  const cubic = x
    .mul(x)
    .mul(x)
    .mul(0.044715)
    .add(x)
    .mul(Math.sqrt(2 / Math.PI))
  const geluTanh = x.mul(0.5).mul(cubic.tanh().add(1))
  const silu = x.div(x.neg().exp().add(1))
  b.map(
    [200],
    [gelu, geluTanh, silu].map((e): [PlanTensor, Expr] => [b.output('float32', [200]), e]),
    { loads },
  )
  cases.push(b.build('activations', { tolerance: 2e-6 }))
  return cases
}

// --- random expressions ---

/** Expressions whose value moves little when an input does: conditions look at loads only, sizes stay moderate. */
function randomExpr(r: Random, depth: number): Expr {
  if (depth === 0)
    return r.int(0, 4) === 0 ? constant(Math.fround(r.uniform() * 2 - 1), 'f32') : load(r.int(0, 2), 'f32')
  const a = () => randomExpr(r, depth - 1)
  const condition = () => load(r.int(0, 2), 'f32').lt(load(r.int(0, 2), 'f32'))
  const make = r.pick<() => Expr>([
    () => a().add(a()),
    () => a().sub(a()),
    () => a().mul(0.5).mul(a().tanh()),
    () => a().min(a()),
    () => a().max(a()),
    () => a().abs().neg(),
    () => condition().select(a(), a()),
    () => condition().and(condition().not()).select(a(), load(3, 'i32').toF32()),
    () => a().div(a().abs().add(1)),
    () => a().abs().add(0.5).sqrt(),
    () => a().min(3).exp(),
    () => load(3, 'i32').shl(2).xor(load(3, 'i32').shr(1)).and(15).toF32().mul(0.125),
  ])
  return make()
}

export function randomCases(): KernelCase[] {
  return Array.from({ length: 30 }, (_, seed) => {
    const b = new PlanBuilder()
    const r = new Random(1000 + seed)
    const shape = Array.from({ length: r.int(1, 3) }, () => r.pick([1, 2, 3, 5, 8, 13, 21]))
    const spread = () => {
      const own = shape.map((s) => (r.int(0, 2) === 0 ? 1 : s))
      const order = shape.map((_, d) => d).sort(() => r.uniform() - 0.5)
      const t = floats(
        b,
        r,
        order.map((d) => own[d]),
        1.5,
      )
      const back = shape.map((_, d) => order.indexOf(d))
      return viewed(t, (v) => expandView(permuteView(v, back), shape))
    }
    const loads = [spread(), spread(), spread(), b.input('int32', shape, r.ints(numel(shape), -20, 20))]
    const stores = Array.from({ length: r.int(1, 3) }, (): [PlanTensor, Expr] => [
      b.output('float32', shape),
      randomExpr(r, 4),
    ])
    b.map(shape, stores, { loads })
    return b.build(`random expression ${seed}`, { tolerance: 3e-5 })
  })
}
