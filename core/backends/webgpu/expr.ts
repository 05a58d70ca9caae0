/** Lowers the scalar IR to WGSL statements. */
import { type Expr, postorder } from '../../expr.ts'
import { expandMath } from '../../math.ts'

/** How the leaves of an expression are spelled. */
export interface Leaves {
  load(operand: number): string
  address(operand: number): string
  scalar(slot: number): string
  acc?: string
}

const word = new DataView(new ArrayBuffer(4))

/** A literal of any f32, infinities and NaN included; valid as the initial value of a `let`. */
export function f32Literal(value: number): string {
  if (Number.isNaN(value)) return 'quietNan()'
  const rounded = Math.fround(value)
  if (rounded === Infinity) return 'infinity()'
  if (rounded === -Infinity) return '-infinity()'
  word.setFloat32(0, rounded)
  return `bitcast<f32>(0x${word.getUint32(0).toString(16)}u)`
}

const i32Literal = (value: number) =>
  (value | 0) === -2147483648 ? '(-2147483647 - 1)' : `i32(${value | 0})`

const WGSL_TYPE = { f32: 'f32', i32: 'i32', bool: 'bool' } as const
const COMPARE = { eq: '==', ne: '!=', lt: '<', le: '<=', gt: '>', ge: '>=' } as const
const INFIX = { add: '+', sub: '-' } as const
/** 0, but only the run knows: the number of workgroups is not negative. */
const HIDDEN_ZERO = 'bitcast<f32>(p.groups >> 31u)'
const isZero = (e: Expr) => e.op === 'const' && e.value === 0

function operation(e: Expr, a: readonly string[]): string {
  const f32 = e.type === 'f32'
  const from = e.args[0]?.type
  switch (e.op) {
    case 'mul':
      // compilers turn x * 0 into 0, also where x is NaN or infinite: hide the zero from them
      return `${a.map((x, i) => (f32 && isZero(e.args[i]) ? `(${x} + ${HIDDEN_ZERO})` : x)).join(' * ')}`
    case 'add':
    case 'sub':
      return `${a[0]} ${INFIX[e.op]} ${a[1]}`
    case 'div':
      return f32 ? `${a[0]} / ${a[1]}` : `divI32(${a[0]}, ${a[1]})`
    case 'rem':
      return `remI32(${a[0]}, ${a[1]})`
    case 'min':
    case 'max':
      return f32 ? `${e.op}Nan(${a[0]}, ${a[1]})` : `${e.op}(${a[0]}, ${a[1]})`
    case 'neg':
      return `-${a[0]}`
    case 'abs':
    case 'sqrt':
    case 'floor':
    case 'ceil':
    case 'trunc':
    case 'round':
      return `${e.op}(${a[0]})`
    case 'roundSmall':
      return `round(${a[0]})`
    case 'eq':
    case 'ne':
      // the usual test for NaN must survive compilers that assume there is none
      if (from === 'f32' && e.args[0] === e.args[1]) return `${e.op === 'eq' ? '!' : ''}isNan(${a[0]})`
      // != is an ordered comparison where WGSL becomes SPIR-V: false with NaN
      if (from === 'f32' && e.op === 'ne') return `${a[0]} != ${a[1]} || isNan(${a[0]}) || isNan(${a[1]})`
      return `${a[0]} ${COMPARE[e.op]} ${a[1]}`
    case 'lt':
    case 'le':
    case 'gt':
    case 'ge':
      return `${a[0]} ${COMPARE[e.op]} ${a[1]}`
    case 'and':
      return `${a[0]} & ${a[1]}`
    case 'or':
      return `${a[0]} | ${a[1]}`
    case 'xor':
      return e.type === 'bool' ? `${a[0]} != ${a[1]}` : `${a[0]} ^ ${a[1]}`
    case 'not':
      return e.type === 'bool' ? `!${a[0]}` : `~${a[0]}`
    case 'shl':
      return `${a[0]} << (u32(${a[1]}) & 31u)`
    case 'shr':
      return `${a[0]} >> (u32(${a[1]}) & 31u)`
    case 'ushr':
      return `i32(u32(${a[0]}) >> (u32(${a[1]}) & 31u))`
    case 'select':
      return `select(${a[2]}, ${a[1]}, ${a[0]})`
    case 'toF32':
      return from === 'bool' ? `select(0f, 1f, ${a[0]})` : `f32(${a[0]})`
    case 'toI32':
      return from === 'bool' ? `select(0i, 1i, ${a[0]})` : `truncI32(${a[0]})`
    case 'toBool':
      return from === 'f32' ? `(bitcast<u32>(${a[0]}) & 0x7fffffffu) != 0u` : `${a[0]} != 0`
    case 'bitsToF32':
      return `bitcast<f32>(${a[0]})`
    case 'bitsToI32':
      return `bitcast<i32>(${a[0]})`
    default:
      throw new Error(`[webgpu] the scalar op ${e.op} has no WGSL: expandMath should have rewritten it`)
  }
}

/**
 * Statements that compute the roots, one `let` per distinct expression, and the names of the results. Constants are
 * `let`s too: WGSL would evaluate constant expressions when it compiles and reject an overflow.
 */
export function emitExprs(
  roots: readonly Expr[],
  leaves: Leaves,
  prefix: string,
): { code: string; results: string[] } {
  const expanded = roots.map((r) => expandMath(r))
  const names = new Map<Expr, string>()
  const lines: string[] = []
  for (const e of postorder(expanded)) {
    const name = `${prefix}${names.size}`
    names.set(e, name)
    let value: string
    if (e.op === 'load') value = leaves.load(e.value)
    else if (e.op === 'address') value = leaves.address(e.value)
    else if (e.op === 'scalar') value = leaves.scalar(e.value)
    else if (e.op === 'acc') value = leaves.acc ?? ''
    else if (e.op === 'const')
      value =
        e.type === 'f32' ? f32Literal(e.value) : e.type === 'i32' ? i32Literal(e.value) : `${e.value !== 0}`
    else
      value = operation(
        e,
        e.args.map((x) => names.get(x) as string),
      )
    lines.push(`    let ${name}: ${WGSL_TYPE[e.type]} = ${value};`)
  }
  return { code: lines.join('\n'), results: expanded.map((r) => names.get(r) as string) }
}
