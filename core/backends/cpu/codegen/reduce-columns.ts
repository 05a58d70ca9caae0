/**
 * Reductions whose innermost kept dimension goes through the vector lanes: a tile of results is kept in the thread's local
 * memory (the first-level cache), and the operands are read row by row, as they lie in memory.
 */
import { acc, Expr, load, rewrite } from '../../../expr.ts'
import { Address, type FunctionBuilder, I32, ModuleBuilder } from '../assembler.ts'
import { byteCount } from '../dispatch.ts'
import { countOps, type ElementOperand, elementOperand, emitElements } from './elements.ts'
import { Nest } from './nest.ts'
import { type LoopOperand, loadSplat } from './operands.ts'
import {
  combineExprs,
  hoistScalars,
  identityExpr,
  loadPointer,
  outerOperands,
  type ReduceStructure,
  reducedSteps,
  storePointer,
  vectorCode,
} from './reduce-structure.ts'
import { type Helpers, makeHelpers, VectorCode } from './vector-code.ts'

/** Columns of one work unit. */
export const TILE = 1024
/** Steps that are added up plainly before they join the compensated sums. */
const BLOCK = 64

/** Arrays of TILE words in local memory. */
const PARTS = ['block', 'total', 'compensation', 'plain'] as const
type Part = (typeof PARTS)[number]
export const LOCAL_BYTES = PARTS.length * TILE * 4

export function emitColumns(s: ReduceStructure): ModuleBuilder {
  const module = new ModuleBuilder(s.features)
  const type = s.body.type
  // `block` is one more operand of the body's loop, `total` takes the place of `acc` in the stores
  const blockLoad = s.loads.length
  const step = (count: number): Expr => {
    const bodies = Array.from({ length: count }, (_, k) => ofStep(s, k))
    const together = bodies.reduce((a, b) => combineExprs(s.combine, a, b))
    return combineExprs(s.combine, load(blockLoad, type), together)
  }
  // one odometer position after the other, or four at once: fewer turns through the block in the cache
  const strips = s.reducedSizes.length === 1 && countOps([s.body]) <= 6 ? [4, 1] : [1]
  const result = finished(s)
  const values = s.values.map((v) => withResult(v, result))
  const helpers = makeHelpers(module, [step(1), ...values])
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const part = (name: Part): ElementOperand => {
        const operand: LoopOperand = {
          base: byteCount(0),
          dtype: type === 'i32' ? 'int32' : 'float32',
          strides: [1],
        }
        const pointer = local.add(PARTS.indexOf(name) * TILE * 4)
        return { operand, step: 'contiguous', pointer, stride: Address.const(4) }
      }
      const stepCodes = strips.map((count) =>
        vectorCode(f, helpers, s, [step(count)], (value) => loadOfStep(s, value)[0]),
      )
      const storeCode = vectorCode(f, helpers, s, values)
      for (const code of stepCodes) hoistScalars(code, args, s)
      hoistScalars(storeCode, args, s)
      const nest = new Nest(f, args, s.outerSizes, outerOperands(s))
      const inner = new Nest(
        f,
        args,
        s.reducedSizes,
        s.bodyLoads.map((i) => s.loads[i]!),
        s.outerSizes.length,
      )
      const width = f.local(I32)
      const step0 = f.local(I32)
      const blockEnd = f.local(I32)
      nest.seek(start)
      f.for(start, end, 1, () => {
        const left = f.let(args.load(s.length).sub(nest.indices.at(-1)!.mul(TILE)))
        width.set(left.minS(I32.const(TILE)))
        const steps = reducedSteps(f, args, s, nest)
        inner.start(s.bodyLoads.map((i) => loadPointer(s, nest, i)))
        fill(f, helpers, s, [part('total')], width)
        if (isFloatSum(s)) fill(f, helpers, s, [part('compensation'), part('plain')], width)
        step0.set(0)
        f.while(step0.ltS(steps), () => {
          fill(f, helpers, s, [part('block')], width)
          blockEnd.set(f.let(step0.add(BLOCK)).minS(steps))
          for (const [n, count] of strips.entries()) {
            const code = stepCodes[n]
            const last = f.let(blockEnd.sub(count))
            f.while(step0.leS(last), () => {
              const pointers = Array.from({ length: count }, (_, k) =>
                s.bodyLoads.map((_, i) => f.let(inner.ahead(i, k))),
              )
              const pointer = (i: number, k: number) => pointers[k][s.bodyLoads.indexOf(i)]
              code.hoist(1, (e) => {
                const [i, k] = loadOfStep(s, e.value)
                return loadSplat(f, s.loads[i]!.operand, pointer(i, k))
              })
              const block = part('block')
              const operands = pointers.flatMap((_, k) => [
                ...s.loads.map((o, i) =>
                  o && s.bodyLoads.includes(i) ? elementOperand(args, o, pointer(i, k)) : block,
                ),
                block,
              ])
              emitElements(f, code, [step(count)], operands, [block], width)
              if (count === 1) inner.advance()
              else inner.advanceBy(count)
              step0.set(step0.add(count))
            })
          }
          join(f, helpers, s, part, width)
        })
        storeCode.hoist(1, (e) => loadSplat(f, s.loads[e.value]!.operand, loadPointer(s, nest, e.value)))
        const operands = s.loads.map((o, i) =>
          o && s.storeLoads.includes(i) ? elementOperand(args, o, loadPointer(s, nest, i)) : part('total'),
        )
        const targets = s.stores.map((o, i) => elementOperand(args, o, storePointer(s, nest, i)))
        emitElements(f, storeCode, values, [...operands, part('total'), part('plain')], targets, width)
        nest.advance()
      })
    },
  )
  return module
}

/** The loads of step k of a strip are numbered behind those of the step before it and the block's. */
const ofStep = (s: ReduceStructure, k: number): Expr =>
  rewrite(s.body, (e) =>
    e.op === 'load' || e.op === 'address'
      ? Expr.make(e.op, e.type, [], e.value + k * (s.loads.length + 1))
      : e,
  )

/** Number of the operand and of the step that a load of a strip is for. */
const loadOfStep = (s: ReduceStructure, value: number): [number, number] => [
  value % (s.loads.length + 1),
  Math.floor(value / (s.loads.length + 1)),
]

const isFloatSum = (s: ReduceStructure): boolean => s.combine === 'sum' && s.body.type === 'f32'

/** The result of a column: the compensated sum, or the plain one where the compensation met an infinity. */
function finished(s: ReduceStructure): Expr {
  const total = load(s.loads.length, s.body.type)
  if (!isFloatSum(s)) return total
  return total.eq(total).select(total, load(s.loads.length + 1, 'f32'))
}

const withResult = (value: Expr, result: Expr): Expr =>
  rewrite(value, (e) => (e === acc(result.type) ? result : e))

function fill(
  f: FunctionBuilder,
  helpers: Helpers,
  s: ReduceStructure,
  parts: ElementOperand[],
  width: I32,
): void {
  const value = identityExpr(s.combine, s.body.type)
  const code = new VectorCode(f, helpers, [value], () => 2)
  emitElements(
    f,
    code,
    parts.map(() => value),
    [],
    parts,
    width,
  )
}

/** Adds the block's results to the totals; sums of floats compensated (Kahan 1965). */
function join(
  f: FunctionBuilder,
  helpers: Helpers,
  s: ReduceStructure,
  part: (name: Part) => ElementOperand,
  width: I32,
): void {
  const [block, total, compensation, plain] = PARTS.map((_, i) => load(i, s.body.type))
  let values = [combineExprs(s.combine, total, block)]
  if (isFloatSum(s)) {
    const corrected = block.sub(compensation)
    const sum = total.add(corrected)
    values = [sum, sum.sub(total).sub(corrected), plain.add(block)]
  }
  const code = new VectorCode(f, helpers, values, () => 2)
  const targets = PARTS.slice(1, 1 + values.length).map(part)
  emitElements(f, code, values, PARTS.map(part), targets, width)
}
