/** Four lanes of a scalar expression: how the hand-written kernels use the functions of `core/math.ts`. */
import { type Expr, load, postorder } from '../../../expr.ts'
import { expandMath } from '../../../math.ts'
import { F32x4, type FunctionBuilder, I32x4 } from '../assembler.ts'

type Lanes = F32x4 | I32x4

/** Emits the expression, whose `load` number i is `inputs[i]`; products that are only added are fused. */
function emitVector(f: FunctionBuilder, root: Expr, inputs: readonly F32x4[]): F32x4 {
  const order = postorder([root])
  const uses = new Map<Expr, number>()
  for (const e of order) for (const a of e.args) uses.set(a, (uses.get(a) ?? 0) + 1)
  const values = new Map<Expr, Lanes>()
  const value = (e: Expr): Lanes => {
    const known = values.get(e)
    if (!known) throw new Error(`[cpu] no vector code for ${e.op} of ${e.args.map((a) => a.type)}`)
    return known
  }
  const float = (e: Expr) => value(e) as F32x4
  const word = (e: Expr) => value(e) as I32x4
  const isFusable = (e: Expr) => e.op === 'mul' && e.type === 'f32' && uses.get(e) === 1
  const fused = (e: Expr): F32x4 | null => {
    const [a, b] = e.args
    if (e.type !== 'f32') return null
    if (e.op === 'add' && isFusable(a)) return f.madd(float(a.args[0]), float(a.args[1]), float(b))
    if (e.op === 'add' && isFusable(b)) return f.madd(float(b.args[0]), float(b.args[1]), float(a))
    if (e.op === 'sub' && isFusable(b)) return f.nmadd(float(b.args[0]), float(b.args[1]), float(a))
    return null
  }
  for (const e of order) {
    const made = fused(e) ?? emitNode(e, float, word, inputs)
    // an unused product is dropped by the engine
    values.set(e, e.op === 'const' || e.op === 'load' ? made : f.let<Lanes>(made))
  }
  return float(root)
}

function emitNode(
  e: Expr,
  float: (e: Expr) => F32x4,
  word: (e: Expr) => I32x4,
  inputs: readonly F32x4[],
): Lanes {
  const [a, b, c] = e.args
  const isFloat = e.type === 'f32'
  const constantOf = (x: Expr) => {
    if (x.op !== 'const') throw new Error('[cpu] shifts of vectors are by constants')
    return x.value
  }
  switch (e.op) {
    case 'load':
      return inputs[e.value]
    case 'const':
      return isFloat ? F32x4.const(e.value) : I32x4.const(e.value)
    case 'add':
      return isFloat ? float(a).add(float(b)) : word(a).add(word(b))
    case 'sub':
      return isFloat ? float(a).sub(float(b)) : word(a).sub(word(b))
    case 'mul':
      return isFloat ? float(a).mul(float(b)) : word(a).mul(word(b))
    case 'div':
      return float(a).div(float(b))
    case 'round':
      return float(a).nearest()
    case 'abs':
      return float(a).abs()
    case 'and':
      return word(a).and(word(b))
    case 'or':
      return word(a).or(word(b))
    case 'shl':
      return word(a).shl(constantOf(b))
    case 'shr':
      return word(a).shrS(constantOf(b))
    case 'lt':
      return a.type === 'f32' ? float(a).lt(float(b)) : word(a).ltS(word(b))
    case 'le':
      return a.type === 'f32' ? float(a).le(float(b)) : word(a).gtS(word(b)).not()
    case 'eq':
      return a.type === 'f32' ? float(a).eq(float(b)) : word(a).eq(word(b))
    case 'gt':
      return a.type === 'f32' ? float(a).gt(float(b)) : word(a).gtS(word(b))
    case 'ge':
      return a.type === 'f32' ? float(a).ge(float(b)) : word(a).ltS(word(b)).not()
    case 'select': {
      const bound = asBound(a, b, c, float)
      if (bound) return bound
      return isFloat ? word(a).select(float(b), float(c)) : word(a).select(word(b), word(c))
    }
    case 'toF32':
      return word(a).toF32x4()
    case 'bitsToF32':
      return word(a).bitsToF32x4()
    case 'bitsToI32':
      return float(a).bitsToI32x4()
    default:
      throw new Error(`[cpu] no vector code for ${e.op}`)
  }
}

/** `hi < x ? hi : x` and `x < lo ? lo : x` are one instruction each. */
function asBound(condition: Expr, then: Expr, otherwise: Expr, float: (e: Expr) => F32x4): F32x4 | null {
  if (condition.op !== 'lt' || then.type !== 'f32') return null
  const [left, right] = condition.args
  if (left === then && right === otherwise) return float(otherwise).pmin(float(then))
  if (left === otherwise && right === then) return float(otherwise).pmax(float(then))
  return null
}

const LOG = expandMath(load(0, 'f32').log())

export const logVector = (f: FunctionBuilder, x: F32x4): F32x4 => emitVector(f, LOG, [f.let(x)])
