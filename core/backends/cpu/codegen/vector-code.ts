/**
 * Four lanes of scalar expressions as WebAssembly SIMD. A truth value is a mask in a register (all bits set or none) and a
 * word of 0 or 1 in memory.
 *
 * The last elements of a row, fewer than four, go through the same vector code with one lane in use, so that an element's
 * bits do not depend on where it lies.
 */
import { type Expr, postorder } from '../../../expr.ts'
import {
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  I32x4,
  type ModuleBuilder,
} from '../assembler.ts'

export type Lanes = F32x4 | I32x4

/** 1.5 * 2^23. */
const INTEGERS = 12582912

/** How often a value changes: never, once per row (or step of an outer loop), with every element. */
export type Level = 0 | 1 | 2

/** Integer division has no vector form, traps where the divisor is 0 or the quotient overflows, and gives 0 and wraps here. */
function divisionHelper(module: ModuleBuilder, op: 'div' | 'rem'): FunctionHandle {
  return module.helper(I32, { a: I32, b: I32 }, (f, { a, b }) => {
    f.if(b.eqz(), () => f.return(I32.const(0)))
    f.if(b.eq(-1), () => f.return(op === 'div' ? I32.const(0).sub(a) : I32.const(0)))
    return op === 'div' ? a.divS(b) : a.remS(b)
  })
}

/** Functions of a module that expressions call; made before `run`, since a function is written in one go. */
export interface Helpers {
  readonly div?: FunctionHandle
  readonly rem?: FunctionHandle
}

export function makeHelpers(module: ModuleBuilder, roots: readonly Expr[]): Helpers {
  const uses = (op: 'div' | 'rem') => postorder(roots).some((e) => e.op === op && e.type === 'i32')
  return {
    div: uses('div') ? divisionHelper(module, 'div') : undefined,
    rem: uses('rem') ? divisionHelper(module, 'rem') : undefined,
  }
}

/** Emits values of a DAG of expressions, each computed at the level where it changes. */
export class VectorCode {
  /** Whether the code is for 256-bit vectors (`Dispatch.wide`). */
  readonly wide: boolean
  readonly #f: FunctionBuilder
  readonly #helpers: Helpers
  readonly #order: readonly Expr[]
  readonly #uses = new Map<Expr, number>()
  readonly #levels = new Map<Expr, Level>()
  /** Values of the levels below the innermost one. */
  readonly #hoisted = new Map<Expr, Lanes>()
  readonly #roots: ReadonlySet<Expr>

  constructor(
    f: FunctionBuilder,
    helpers: Helpers,
    roots: readonly Expr[],
    leafLevel: (leaf: Expr) => Level,
    wide = false,
  ) {
    this.wide = wide
    this.#f = f
    this.#helpers = helpers
    this.#order = postorder(roots)
    this.#roots = new Set(roots)
    for (const e of this.#order) {
      for (const a of e.args) this.#uses.set(a, (this.#uses.get(a) ?? 0) + 1)
      const level = e.args.length === 0 ? leafLevel(e) : Math.max(...e.args.map((a) => this.#levels.get(a)!))
      this.#levels.set(e, level as Level)
    }
  }

  /** Computes here what changes at `level` (0 or 1) and is needed above it. */
  hoist(level: 0 | 1, leaf: (e: Expr) => Lanes): void {
    const needed = new Set<Expr>(this.#roots)
    for (const e of this.#order) {
      if (this.#levels.get(e)! <= level) continue
      for (const a of e.args) needed.add(a)
    }
    const values = new Map<Expr, Lanes>()
    for (const e of this.#order) {
      if (this.#levels.get(e) !== level) continue
      const isNeeded = needed.has(e)
      const value = this.#compute(e, leaf, values, isNeeded)
      if (isNeeded) this.#hoisted.set(e, value)
    }
  }

  /** The roots' values for one group of four elements, whose leaves `leaf` provides. */
  evaluate(roots: readonly Expr[], leaf: (e: Expr) => Lanes): Lanes[] {
    const values = new Map<Expr, Lanes>()
    // what lies below a hoisted value, such as the factors of a product of two scalars, is not here any more
    const wanted = new Set<Expr>()
    const want = (e: Expr): void => {
      if (wanted.has(e) || this.#hoisted.has(e)) return
      wanted.add(e)
      e.args.forEach(want)
    }
    roots.forEach(want)
    for (const e of this.#order) if (wanted.has(e)) this.#compute(e, leaf, values, false)
    return roots.map((e) => this.#hoisted.get(e) ?? values.get(e)!)
  }

  #compute(e: Expr, leaf: (e: Expr) => Lanes, values: Map<Expr, Lanes>, mustName: boolean): Lanes {
    const get = (x: Expr): Lanes => {
      const known = values.get(x) ?? this.#hoisted.get(x)
      if (!known) throw new Error(`[cpu] ${x.op} is used before it is computed`)
      return known
    }
    const code = e.args.length === 0 ? leafCode(e, leaf) : this.#node(e, get)
    const isUsedTwice = (this.#uses.get(e) ?? 0) > 1 || (this.#roots.has(e) && this.#uses.has(e))
    const value = mustName || (isUsedTwice && e.op !== 'const') ? this.#f.let<Lanes>(code) : code
    values.set(e, value)
    return value
  }

  /** A product that is only added here: part of a fused multiply-add. */
  #isFusable(e: Expr, user: Expr): boolean {
    return e.op === 'mul' && this.#uses.get(e) === 1 && this.#levels.get(e) === this.#levels.get(user)
  }

  #node(e: Expr, get: (e: Expr) => Lanes): Lanes {
    const f = this.#f
    const float = (x: Expr) => get(x) as F32x4
    const word = (x: Expr) => get(x) as I32x4
    const [a, b, c] = e.args
    if (e.type === 'f32' && (e.op === 'add' || e.op === 'sub')) {
      if (this.#isFusable(b, e)) {
        const [x, y] = b.args
        return e.op === 'add' ? f.madd(float(x), float(y), float(a)) : f.nmadd(float(x), float(y), float(a))
      }
      if (e.op === 'add' && this.#isFusable(a, e)) return f.madd(float(a.args[0]), float(a.args[1]), float(b))
    }
    if (e.op === 'select') return selectCode(a, b, c, get)
    if (isComparison(e.op)) return a.type === 'f32' ? compareFloats(e, float) : compareWords(e, word)
    if (e.op.startsWith('to') || e.op.startsWith('bits')) return convert(e, get)
    if (e.type === 'f32') return floatCode(e, float)
    if (e.op === 'div' || e.op === 'rem') return this.#perLane(e, word, this.#helpers[e.op]!)
    return wordCode(e, word)
  }

  #perLane(e: Expr, word: (e: Expr) => I32x4, helper: FunctionHandle): I32x4 {
    const a = this.#f.let(word(e.args[0]))
    const b = this.#f.let(word(e.args[1]))
    const lane = (i: number) => this.#f.callFor(I32, helper, a.lane(i), b.lane(i))
    return lane(0).splat().withLane(1, lane(1)).withLane(2, lane(2)).withLane(3, lane(3))
  }
}

function leafCode(e: Expr, leaf: (e: Expr) => Lanes): Lanes {
  if (e.op !== 'const') return leaf(e)
  if (e.type === 'f32') return F32x4.const(e.value)
  return I32x4.const(e.type === 'bool' ? -e.value : e.value)
}

const isComparison = (op: string): boolean => ['eq', 'ne', 'lt', 'le', 'gt', 'ge'].includes(op)

function compareFloats(e: Expr, float: (e: Expr) => F32x4): I32x4 {
  const [a, b] = [float(e.args[0]), float(e.args[1])]
  return a[e.op as 'eq' | 'ne' | 'lt' | 'le' | 'gt' | 'ge'](b)
}

function compareWords(e: Expr, word: (e: Expr) => I32x4): I32x4 {
  const [a, b] = [word(e.args[0]), word(e.args[1])]
  switch (e.op) {
    case 'eq':
      return a.eq(b)
    case 'ne':
      return a.ne(b)
    case 'lt':
      return a.ltS(b)
    case 'le':
      return a.leS(b)
    case 'gt':
      return a.gtS(b)
    default:
      return a.geS(b)
  }
}

/** `hi < x ? hi : x` and `x < lo ? lo : x` are one instruction each. */
function selectCode(condition: Expr, then: Expr, otherwise: Expr, get: (e: Expr) => Lanes): Lanes {
  if (condition.op === 'lt' && then.type === 'f32') {
    const [left, right] = condition.args
    const [x, bound] = [get(otherwise) as F32x4, get(then) as F32x4]
    if (left === then && right === otherwise) return x.pmin(bound)
    if (left === otherwise && right === then) return x.pmax(bound)
  }
  return (get(condition) as I32x4).select(get(then), get(otherwise))
}

function convert(e: Expr, get: (e: Expr) => Lanes): Lanes {
  const from = e.args[0].type
  const value = get(e.args[0])
  switch (e.op) {
    case 'bitsToF32':
      return (value as I32x4).bitsToF32x4()
    case 'bitsToI32':
      return (value as F32x4).bitsToI32x4()
    case 'toF32':
      if (from === 'bool') return (value as I32x4).and(F32x4.const(1).bitsToI32x4()).bitsToF32x4()
      return from === 'f32' ? value : (value as I32x4).toF32x4()
    case 'toI32':
      if (from === 'bool') return (value as I32x4).and(I32x4.const(1))
      return from === 'i32' ? value : (value as F32x4).toI32x4()
    default:
      if (from === 'bool') return value
      return from === 'f32' ? (value as F32x4).ne(F32x4.const(0)) : (value as I32x4).ne(I32x4.const(0))
  }
}

function floatCode(e: Expr, float: (e: Expr) => F32x4): F32x4 {
  const a = float(e.args[0])
  switch (e.op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'div':
    case 'min':
    case 'max':
      return a[e.op](float(e.args[1]))
    case 'neg':
    case 'abs':
    case 'sqrt':
    case 'floor':
    case 'ceil':
    case 'trunc':
      return a[e.op]()
    case 'round':
      return a.nearest()
    case 'roundSmall':
      // from this number up, floats are integers; V8 joins additions into 256-bit ones, and `nearest` not
      return a.add(F32x4.const(INTEGERS)).sub(F32x4.const(INTEGERS))
    default:
      throw new Error(`[cpu] there is no code for ${e.op} of f32`)
  }
}

function wordCode(e: Expr, word: (e: Expr) => I32x4): I32x4 {
  const a = word(e.args[0])
  switch (e.op) {
    case 'add':
    case 'sub':
    case 'mul':
    case 'and':
    case 'or':
    case 'xor':
      return a[e.op](word(e.args[1]))
    case 'min':
      return a.minS(word(e.args[1]))
    case 'max':
      return a.maxS(word(e.args[1]))
    case 'neg':
    case 'abs':
    case 'not':
      return a[e.op]()
    case 'shl':
    case 'shr':
    case 'ushr':
      return shift(e, word)
    default:
      throw new Error(`[cpu] there is no code for ${e.op} of ${e.type}`)
  }
}

/** Vector shifts take one amount for all lanes; WebAssembly masks it with 31. */
function shift(e: Expr, word: (e: Expr) => I32x4): I32x4 {
  const [a, amount] = e.args
  const method = e.op === 'shl' ? 'shl' : e.op === 'shr' ? 'shrS' : 'shrU'
  const x = word(a)
  if (amount.op === 'const') return x[method](amount.value)
  const by = word(amount)
  const lane = (i: number) => x.lane(i)[method](by.lane(i))
  return lane(0).splat().withLane(1, lane(1)).withLane(2, lane(2)).withLane(3, lane(3))
}
