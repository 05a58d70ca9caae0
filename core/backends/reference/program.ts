/**
 * Evaluates scalar expressions one element at a time, in float64 arithmetic: in f32 mode every operation is rounded to f32
 * afterwards, which gives IEEE's f32 result for + - * / and sqrt. Math functions come from `Math`, not from `core/math.ts`,
 * so that the other backends' polynomials are checked against something else.
 */
import { type Expr, type ExprOp, postorder } from '../../expr.ts'
import { erf } from './erf.ts'

type Evaluate = (a: number, b: number, c: number) => number

const floats = new Float32Array(1)
const ints = new Int32Array(floats.buffer)

const truth = (condition: boolean): number => (condition ? 1 : 0)

function roundToEven(x: number): number {
  if (!Number.isFinite(x)) return x
  const below = Math.floor(x)
  const fraction = x - below
  const rounded = fraction < 0.5 || (fraction === 0.5 && below % 2 === 0) ? below : below + 1
  return rounded === 0 ? x * 0 : rounded // keeps the sign of zero
}

function truncateToInt(x: number): number {
  if (Number.isNaN(x)) return 0
  return Math.trunc(Math.min(Math.max(x, -0x80000000), 0x7fffffff))
}

/** C's pow, which differs from JavaScript's for a base of 1 and for an infinite exponent. */
function pow(x: number, y: number): number {
  if (x === 1) return 1
  if (x === -1 && !Number.isFinite(y) && !Number.isNaN(y)) return 1
  return x ** y
}

const FLOAT: Partial<Record<ExprOp, Evaluate>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  sqrt: (a) => Math.sqrt(a),
  floor: (a) => Math.floor(a),
  ceil: (a) => Math.ceil(a),
  trunc: (a) => Math.trunc(a),
  round: roundToEven,
  roundSmall: roundToEven,
  exp: (a) => Math.exp(a),
  expm1: (a) => Math.expm1(a),
  log: (a) => Math.log(a),
  log1p: (a) => Math.log1p(a),
  sin: (a) => Math.sin(a),
  cos: (a) => Math.cos(a),
  tanh: (a) => Math.tanh(a),
  erf: (a) => erf(a),
  pow,
}

const INT: Partial<Record<ExprOp, Evaluate>> = {
  add: (a, b) => (a + b) | 0,
  sub: (a, b) => (a - b) | 0,
  mul: (a, b) => Math.imul(a, b),
  div: (a, b) => (b === 0 ? 0 : (a / b) | 0),
  rem: (a, b) => (b === 0 ? 0 : (a % b) | 0),
  min: (a, b) => Math.min(a, b),
  max: (a, b) => Math.max(a, b),
  neg: (a) => -a | 0,
  abs: (a) => Math.abs(a) | 0,
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => ~a,
  shl: (a, b) => a << b,
  shr: (a, b) => a >> b,
  ushr: (a, b) => (a >>> b) | 0,
}

const BOOL: Partial<Record<ExprOp, Evaluate>> = {
  and: (a, b) => a & b,
  or: (a, b) => a | b,
  xor: (a, b) => a ^ b,
  not: (a) => 1 - a,
  eq: (a, b) => truth(a === b),
  ne: (a, b) => truth(a !== b),
  lt: (a, b) => truth(a < b),
  le: (a, b) => truth(a <= b),
  gt: (a, b) => truth(a > b),
  ge: (a, b) => truth(a >= b),
  toBool: (a) => truth(a !== 0),
}

const toF32: Evaluate = (a) => a
const toI32: Evaluate = truncateToInt
const select: Evaluate = (condition, then, otherwise) => (condition ? then : otherwise)
const bitsToF32: Evaluate = (a) => {
  ints[0] = a
  return floats[0]
}
const bitsToI32: Evaluate = (a) => {
  floats[0] = a
  return ints[0]
}
const CONVERSIONS: Partial<Record<ExprOp, Evaluate>> = { toF32, toI32, select, bitsToF32, bitsToI32 }

/** What an operation computes, in float64 and not yet rounded. */
export function evaluator(e: Expr): Evaluate {
  const byType = { f32: FLOAT, i32: INT, bool: BOOL }[e.type]
  const f = CONVERSIONS[e.op] ?? byType[e.op]
  if (!f) throw new TypeError(`[reference] there is no ${e.op} of type ${e.type}`)
  return f
}

interface Step {
  readonly evaluate: Evaluate
  readonly a: number
  readonly b: number
  readonly c: number
  readonly out: number
  readonly round: boolean
}

/** What the leaves of an expression stand for, at one element. */
export interface Leaves {
  load(operand: number): number
  address(operand: number): number
  scalar(number: number): number
}

/** Expressions with a register for each distinct subexpression. */
export class Program {
  private readonly roots: readonly Expr[]
  private readonly steps: Step[] = []
  private readonly leaves: { readonly e: Expr; readonly out: number }[] = []
  private readonly registers: Float64Array
  private readonly slots = new Map<Expr, number>()

  constructor(roots: readonly Expr[], float64: boolean) {
    this.roots = roots
    const order = postorder(roots)
    this.registers = new Float64Array(order.length)
    order.forEach((e, out) => {
      this.slots.set(e, out)
      if (e.op === 'const')
        this.registers[out] = e.type === 'f32' && !float64 ? Math.fround(e.value) : e.value
      else if (e.args.length === 0) this.leaves.push({ e, out })
      else {
        const [a, b = 0, c = 0] = e.args.map((arg) => this.slots.get(arg)!)
        this.steps.push({ evaluate: evaluator(e), a, b, c, out, round: e.type === 'f32' && !float64 })
      }
    })
  }

  /** Computes the roots at one element; `acc` is the value of the `acc` leaf. Read them with `value`. */
  run(leaves: Leaves, acc = NaN): void {
    const r = this.registers
    for (const { e, out } of this.leaves) {
      if (e.op === 'load') r[out] = leaves.load(e.value)
      else if (e.op === 'address') r[out] = leaves.address(e.value)
      else if (e.op === 'scalar') r[out] = leaves.scalar(e.value)
      else r[out] = acc
    }
    for (const s of this.steps) {
      const value = s.evaluate(r[s.a], r[s.b], r[s.c])
      r[s.out] = s.round ? Math.fround(value) : value
    }
  }

  value(root: number): number {
    return this.registers[this.slots.get(this.roots[root])!]
  }
}
