/** Reductions whose innermost reduced dimension goes through the vector lanes. */
import { acc, type Expr } from '../../../expr.ts'
import {
  Address,
  F32x4,
  type FunctionBuilder,
  I32,
  I32x4,
  ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import { countOps, elementOperand, RowCursor } from './elements.ts'
import { Nest } from './nest.ts'
import { loadSplat } from './operands.ts'
import {
  combineExprs,
  combineLanes,
  cutLength,
  hoistScalars,
  identityLanes,
  loadPointer,
  outerOperands,
  type ReduceStructure,
  reducedSteps,
  storeResult,
  vectorCode,
} from './reduce-structure.ts'
import { type Lanes, makeHelpers, VectorCode } from './vector-code.ts'

/** Elements that are added up plainly (64 per lane of four vectors) before they join the compensated sum. */
const BLOCK = 1024

const lanesClass = (type: string): typeof F32x4 | typeof I32x4 => (type === 'i32' ? I32x4 : F32x4)

/**
 * The combination of block results. Sums of floats are compensated (Kahan 1965), so that their error does not grow with
 * their length; the plain sum stands where the compensation met an infinity.
 */
class Total {
  readonly #f: FunctionBuilder
  readonly #s: ReduceStructure
  readonly #total: Variable<Lanes>
  readonly #compensation: Variable<F32x4> | null
  readonly #plain: Variable<F32x4> | null

  constructor(f: FunctionBuilder, s: ReduceStructure) {
    const isFloatSum = s.combine === 'sum' && s.body.type === 'f32'
    this.#f = f
    this.#s = s
    this.#total = f.local(lanesClass(s.body.type)) as unknown as Variable<Lanes>
    this.#compensation = isFloatSum ? f.local(F32x4) : null
    this.#plain = isFloatSum ? f.local(F32x4) : null
  }

  #set(value: Lanes): void {
    ;(this.#total as { set(value: Lanes): void }).set(value)
  }

  reset(): void {
    this.#set(identityLanes(this.#s.combine, this.#s.body.type))
    this.#compensation?.set(F32x4.const(0))
    this.#plain?.set(F32x4.const(0))
  }

  join(block: Lanes): void {
    const [compensation, plain] = [this.#compensation, this.#plain]
    if (!compensation || !plain) {
      this.#set(combineLanes(this.#s.combine, this.#total, block))
      return
    }
    const total = this.#total as F32x4
    const value = this.#f.let(block as F32x4)
    const corrected = this.#f.let(value.sub(compensation))
    const sum = this.#f.let(total.add(corrected))
    compensation.set(sum.sub(total).sub(corrected))
    plain.set(plain.add(value))
    this.#set(sum)
  }

  /** The result in all lanes. */
  finish(): Lanes {
    const f = this.#f
    let lanes: Lanes = this.#total
    if (this.#plain) {
      const total = this.#total as F32x4
      lanes = total.eq(total).select<F32x4>(total, this.#plain)
    }
    for (const order of [
      [2, 3, 0, 1],
      [1, 0, 3, 2],
    ] as const) {
      const x = f.let<Lanes>(lanes)
      const other = (x as F32x4).shuffle(x as F32x4, [...order]) as Lanes
      lanes = combineLanes(this.#s.combine, x, other)
    }
    return f.let<Lanes>(lanes)
  }
}

export function emitRows(s: ReduceStructure): ModuleBuilder {
  const type = s.body.type
  const step = combineExprs(s.combine, acc(type), s.body)
  const module = new ModuleBuilder(s.features)
  const helpers = makeHelpers(module, [step, ...s.values])
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const body = vectorCode(f, helpers, s, [step, s.body])
    const stores = new VectorCode(f, helpers, s.values, (e) =>
      e.op === 'const' || e.op === 'scalar' ? 0 : 2,
    )
    hoistScalars(body, args, s)
    hoistScalars(stores, args, s)
    const nest = new Nest(f, args, s.outerSizes, outerOperands(s))
    const inner = new Nest(
      f,
      args,
      s.reducedSizes,
      s.bodyLoads.map((i) => s.loads[i]!),
      s.outerSizes.length,
    )
    const total = new Total(f, s)
    nest.seek(start)
    f.for(start, end, 1, () => {
      total.reset()
      const steps = reducedSteps(f, args, s, nest)
      const length =
        s.reducedSizes.length === 0 ? cutLength(f, args, s, nest, s.length) : f.let(args.load(s.length))
      inner.start(s.bodyLoads.map((i) => loadPointer(s, nest, i)))
      f.for(0, steps, 1, () => {
        body.hoist(1, (e) =>
          loadSplat(f, s.loads[e.value]!.operand, inner.pointers[s.bodyLoads.indexOf(e.value)]),
        )
        reduceRow(f, s, body, step, inner, args, length, total)
        inner.advance()
      })
      storeResult(f, stores, s, nest, total.finish())
      nest.advance()
    })
  })
  return module
}

/** One row, in blocks; within a block, four accumulators hide the latency of the additions. */
function reduceRow(
  f: FunctionBuilder,
  s: ReduceStructure,
  body: VectorCode,
  step: Expr,
  nest: Nest,
  args: Address,
  length: I32,
  total: Total,
): void {
  const identity = identityLanes(s.combine, s.body.type)
  const width = countOps([s.body]) > 20 ? 2 : 4
  const sums = f.locals(lanesClass(s.body.type), width) as unknown as Variable<Lanes>[]
  const set = (i: number, value: Lanes) => (sums[i] as { set(value: Lanes): void }).set(value)
  const cursor = new RowCursor(
    f,
    s.bodyLoads.map((i, n) => elementOperand(args, s.loads[i]!, nest.pointers[n])),
  )
  const number = (e: Expr) => s.bodyLoads.indexOf(e.value)
  const vectors = (groups: number) => {
    for (let group = 0; group < groups; group++) {
      const leaf = (e: Expr) => (e.op === 'acc' ? sums[group] : cursor.loadGroup(number(e), group))
      set(group, body.evaluate([step], leaf)[0])
    }
  }
  const single = () => {
    const value = body.evaluate([s.body], (e) => cursor.loadOne(number(e)))[0]
    const masked = I32x4.const(-1, 0, 0, 0).select<Lanes>(value, identity)
    set(0, combineLanes(s.combine, sums[0], masked))
  }
  const blockEnd = f.local(Address)
  const end = Address.of(length)
  f.while(cursor.index.ltS(end), () => {
    for (let i = 0; i < width; i++) set(i, identity)
    blockEnd.set(f.let(cursor.index.add(BLOCK)).minS(end))
    cursor.walk(blockEnd, width, vectors, single)
    let joined: Lanes[] = sums
    while (joined.length > 1)
      joined = Array.from({ length: joined.length / 2 }, (_, i) =>
        combineLanes(s.combine, joined[2 * i], joined[2 * i + 1]),
      )
    total.join(joined[0])
  })
}
