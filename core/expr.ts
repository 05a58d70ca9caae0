/**
 * The scalar IR: what one element of a fused kernel computes.
 *
 * Expressions are immutable and interned, so equal ones are the same object and a kernel's body is a DAG without
 * duplicates. Three backends lower them: the reference interpreter, WebAssembly SIMD and WGSL.
 */

/** Types of a value in a register: IEEE float32, wrapping 32-bit integer, truth value. */
export type ScalarType = 'f32' | 'i32' | 'bool'

/** Leaves: where a value comes from. */
export type LeafOp =
  /** Element of load operand `value` at the current loop position. */
  | 'load'
  /** The address (offset + sum of index * stride) of load operand `value` as an i32: how `arange` is made without memory. */
  | 'address'
  /** Kernel scalar number `value`: a slot that is rewritten at every run. */
  | 'scalar'
  /** The number `value` itself (bool: 0 or 1). */
  | 'const'
  /** The finished result of a reduction, in the stores of a reduce kernel only. */
  | 'acc'

/** What every backend implements. Comparisons give bool; `div` and `rem` of i32 truncate, and by zero give 0. */
export type PrimitiveOp =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'rem' // f32 and i32 (rem: i32 only)
  | 'min'
  | 'max' // f32: NaN if either is NaN
  | 'neg'
  | 'abs' // f32 and i32
  | 'sqrt'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'round' // f32; round to nearest, ties to even
  | 'roundSmall' // the same for magnitudes up to 2^22; the sign of a zero is open
  | 'eq'
  | 'ne'
  | 'lt'
  | 'le'
  | 'gt'
  | 'ge' // f32, i32; eq and ne of bool too
  | 'and'
  | 'or'
  | 'xor'
  | 'not' // bool, and i32 bitwise
  | 'shl'
  | 'shr'
  | 'ushr' // i32, by args[1] & 31
  | 'select' // args: condition (bool), then, otherwise; both sides are evaluated
  | 'toF32'
  | 'toI32'
  | 'toBool' // toI32 of f32 truncates and saturates, NaN gives 0; toBool is x != 0
  | 'bitsToF32'
  | 'bitsToI32' // reinterpret the bits

/** Functions that `expandMath` rewrites into primitives, so that all backends agree; the reference may compute them directly. */
export type MathOp = 'exp' | 'expm1' | 'log' | 'log1p' | 'sin' | 'cos' | 'tanh' | 'erf' | 'pow'

export type ExprOp = LeafOp | PrimitiveOp | MathOp

/** Ids stay far below this, so that two of them make one exact number. */
const IDS = 2 ** 26

/**
 * One table for each op and type, by what tells its expressions apart. Bounded by the programs' structure: sizes and
 * per-step numbers never enter an expression.
 */
type Tables = Record<ScalarType, Map<number, Expr>>
const interned: Partial<Record<ExprOp, Tables>> = {}
const negativeZeros: Partial<Record<ScalarType, Expr>> = {}
const pairs = new Map<number, number>()
let nextId = 0

function tableOf(op: ExprOp, type: ScalarType): Map<number, Expr> {
  let tables = interned[op]
  if (!tables) interned[op] = tables = { f32: new Map(), i32: new Map(), bool: new Map() }
  return tables[type]
}

/** A number for the list of arguments: an expression's id, or that of a pair, and so on. */
function keyOf(args: readonly Expr[]): number {
  let key = args[0].id
  for (let i = 1; i < args.length; i++) {
    if (i > 1) {
      let pair = pairs.get(key)
      if (pair === undefined) pairs.set(key, (pair = pairs.size))
      key = pair
    }
    key = key * IDS + args[i].id
  }
  return key
}

export class Expr {
  readonly op: ExprOp
  readonly type: ScalarType
  readonly args: readonly Expr[]
  /** Operand or slot number of a leaf, the number of a const. */
  readonly value: number
  /** Unique per distinct expression. */
  readonly id: number

  private constructor(op: ExprOp, type: ScalarType, args: readonly Expr[], value: number) {
    this.op = op
    this.type = type
    this.args = args
    this.value = value
    this.id = nextId++
  }

  static make(op: ExprOp, type: ScalarType, args: readonly Expr[], value = 0): Expr {
    if (Object.is(value, -0)) return (negativeZeros[type] ??= new Expr(op, type, args, value))
    const table = tableOf(op, type)
    const key = args.length > 0 ? keyOf(args) : value
    let expr = table.get(key)
    if (!expr) {
      expr = new Expr(op, type, args, value)
      table.set(key, expr)
    }
    return expr
  }

  private arith(op: PrimitiveOp, other: Expr | number): Expr {
    return Expr.make(op, this.type, [this, lift(other, this.type)])
  }
  private compare(op: PrimitiveOp, other: Expr | number): Expr {
    return Expr.make(op, 'bool', [this, lift(other, this.type)])
  }
  private unary(op: PrimitiveOp | MathOp, type: ScalarType = this.type): Expr {
    return Expr.make(op, type, [this])
  }

  add(o: Expr | number): Expr {
    return this.arith('add', o)
  }
  sub(o: Expr | number): Expr {
    return this.arith('sub', o)
  }
  mul(o: Expr | number): Expr {
    return this.arith('mul', o)
  }
  div(o: Expr | number): Expr {
    return this.arith('div', o)
  }
  rem(o: Expr | number): Expr {
    return this.arith('rem', o)
  }
  min(o: Expr | number): Expr {
    return this.arith('min', o)
  }
  max(o: Expr | number): Expr {
    return this.arith('max', o)
  }
  pow(o: Expr | number): Expr {
    return Expr.make('pow', this.type, [this, lift(o, this.type)])
  }
  and(o: Expr | number): Expr {
    return this.arith('and', o)
  }
  or(o: Expr | number): Expr {
    return this.arith('or', o)
  }
  xor(o: Expr | number): Expr {
    return this.arith('xor', o)
  }
  shl(o: Expr | number): Expr {
    return this.arith('shl', o)
  }
  shr(o: Expr | number): Expr {
    return this.arith('shr', o)
  }
  ushr(o: Expr | number): Expr {
    return this.arith('ushr', o)
  }
  eq(o: Expr | number): Expr {
    return this.compare('eq', o)
  }
  ne(o: Expr | number): Expr {
    return this.compare('ne', o)
  }
  lt(o: Expr | number): Expr {
    return this.compare('lt', o)
  }
  le(o: Expr | number): Expr {
    return this.compare('le', o)
  }
  gt(o: Expr | number): Expr {
    return this.compare('gt', o)
  }
  ge(o: Expr | number): Expr {
    return this.compare('ge', o)
  }
  neg(): Expr {
    return this.unary('neg')
  }
  abs(): Expr {
    return this.unary('abs')
  }
  not(): Expr {
    return this.unary('not')
  }
  sqrt(): Expr {
    return this.unary('sqrt')
  }
  floor(): Expr {
    return this.unary('floor')
  }
  ceil(): Expr {
    return this.unary('ceil')
  }
  trunc(): Expr {
    return this.unary('trunc')
  }
  round(): Expr {
    return this.unary('round')
  }
  roundSmall(): Expr {
    return this.unary('roundSmall')
  }
  exp(): Expr {
    return this.unary('exp')
  }
  expm1(): Expr {
    return this.unary('expm1')
  }
  log(): Expr {
    return this.unary('log')
  }
  log1p(): Expr {
    return this.unary('log1p')
  }
  sin(): Expr {
    return this.unary('sin')
  }
  cos(): Expr {
    return this.unary('cos')
  }
  tanh(): Expr {
    return this.unary('tanh')
  }
  erf(): Expr {
    return this.unary('erf')
  }
  toF32(): Expr {
    return this.type === 'f32' ? this : this.unary('toF32', 'f32')
  }
  toI32(): Expr {
    return this.type === 'i32' ? this : this.unary('toI32', 'i32')
  }
  toBool(): Expr {
    return this.type === 'bool' ? this : this.unary('toBool', 'bool')
  }
  to(type: ScalarType): Expr {
    return type === 'f32' ? this.toF32() : type === 'i32' ? this.toI32() : this.toBool()
  }
  bitsToF32(): Expr {
    return this.unary('bitsToF32', 'f32')
  }
  bitsToI32(): Expr {
    return this.unary('bitsToI32', 'i32')
  }
  /** `this` (a bool) decides between two values of one type. */
  select(then: Expr | number, otherwise: Expr | number): Expr {
    const type = then instanceof Expr ? then.type : otherwise instanceof Expr ? otherwise.type : 'f32'
    return Expr.make('select', type, [this, lift(then, type), lift(otherwise, type)])
  }
}

const lift = (x: Expr | number, type: ScalarType): Expr => (typeof x === 'number' ? constant(x, type) : x)

export const constant = (value: number, type: ScalarType): Expr => Expr.make('const', type, [], value)
export const load = (operand: number, type: ScalarType): Expr => Expr.make('load', type, [], operand)
export const address = (operand: number): Expr => Expr.make('address', 'i32', [], operand)
export const scalar = (slot: number, type: ScalarType): Expr => Expr.make('scalar', type, [], slot)
export const acc = (type: ScalarType): Expr => Expr.make('acc', type, [])

/** Rebuilds an expression bottom-up; `visit` returns the replacement of a node whose args were already replaced. */
export function rewrite(root: Expr, visit: (e: Expr) => Expr, memo = new Map<Expr, Expr>()): Expr {
  const known = memo.get(root)
  if (known) return known
  const args = root.args.map((a) => rewrite(a, visit, memo))
  const same = args.every((a, i) => a === root.args[i])
  const result = visit(same ? root : Expr.make(root.op, root.type, args, root.value))
  memo.set(root, result)
  return result
}

/** Every distinct expression under the roots, arguments before their users. */
export function postorder(roots: readonly Expr[]): Expr[] {
  const seen = new Set<Expr>()
  const out: Expr[] = []
  const walk = (e: Expr) => {
    if (seen.has(e)) return
    seen.add(e)
    for (let i = 0; i < e.args.length; i++) walk(e.args[i])
    out.push(e)
  }
  for (const r of roots) walk(r)
  return out
}
