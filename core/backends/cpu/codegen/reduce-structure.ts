/** What the two loop nests of reduce kernels have in common. */
import { constant, type Expr, type ScalarType } from '../../../expr.ts'
import type { Combine } from '../../../plan/kernel.ts'
import { type Address, F32x4, type FunctionBuilder, I32, I32x4 } from '../assembler.ts'
import type { CpuFeatures } from '../dispatch.ts'
import type { Nest } from './nest.ts'
import { loadOne, loadScalar, type OperandWords, stepOf } from './operands.ts'
import { type Helpers, type Lanes, type Level, VectorCode } from './vector-code.ts'

/** Loop dimensions: outer ones (kept, chunks, column tiles), reduced ones, the vector dimension. Numbers are offsets of words. */
export interface ReduceStructure {
  readonly features: CpuFeatures
  readonly combine: Combine
  readonly body: Expr
  readonly values: readonly Expr[]
  /** Size of the vector dimension. */
  readonly length: number
  /** Steps of the first reduced dimension in one chunk, where the reduction is cut. */
  readonly chunk: number | null
  /** Which outer dimension counts the chunks. */
  readonly chunkIndex: number
  readonly outerSizes: readonly number[]
  readonly reducedSizes: readonly number[]
  readonly scalars: readonly number[]
  /** By load number; null where the expressions do not use it. */
  readonly loads: readonly (OperandWords | null)[]
  readonly stores: readonly OperandWords[]
  readonly bodyLoads: readonly number[]
  readonly storeLoads: readonly number[]
}

export const identityOf = (combine: Combine, type: ScalarType): number => {
  if (combine === 'sum') return 0
  if (combine === 'prod') return 1
  if (type === 'i32') return combine === 'max' ? -(2 ** 31) : 2 ** 31 - 1
  return combine === 'max' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY
}

export const identityLanes = (combine: Combine, type: ScalarType): Lanes => {
  const value = identityOf(combine, type)
  return type === 'i32' ? I32x4.const(value) : F32x4.const(value)
}

export const identityExpr = (combine: Combine, type: ScalarType): Expr =>
  constant(identityOf(combine, type), type)

export function combineExprs(combine: Combine, a: Expr, b: Expr): Expr {
  if (combine === 'sum') return a.add(b)
  if (combine === 'prod') return a.mul(b)
  return combine === 'max' ? a.max(b) : a.min(b)
}

export function combineLanes(combine: Combine, a: Lanes, b: Lanes): Lanes {
  if (a instanceof F32x4) {
    const other = b as F32x4
    if (combine === 'sum') return a.add(other)
    if (combine === 'prod') return a.mul(other)
    return combine === 'max' ? a.max(other) : a.min(other)
  }
  const other = b as I32x4
  if (combine === 'sum') return a.add(other)
  if (combine === 'prod') return a.mul(other)
  return combine === 'max' ? a.maxS(other) : a.minS(other)
}

/**
 * Code of expressions in which what does not vary along the vector dimension is computed once per step of the outer loops.
 * `loadOf` gives the number of the kernel's load that a load of the expressions stands for, or -1 for one of their own.
 */
export const vectorCode = (
  f: FunctionBuilder,
  helpers: Helpers,
  s: ReduceStructure,
  roots: readonly Expr[],
  loadOf = (value: number): number => value,
): VectorCode =>
  new VectorCode(f, helpers, roots, (leaf): Level => {
    if (leaf.op === 'const' || leaf.op === 'scalar') return 0
    const operand = leaf.op === 'acc' ? null : s.loads[loadOf(leaf.value)]
    return operand && stepOf(operand.operand.strides.at(-1)!) === 'broadcast' ? 1 : 2
  })

export const hoistScalars = (code: VectorCode, args: Address, s: ReduceStructure): void =>
  code.hoist(0, (e) => loadScalar(args, s.scalars[e.value], e))

/** The operands that pointers are kept for, in this order: the loads that are used, then the stores. */
export const outerOperands = (s: ReduceStructure): OperandWords[] => [
  ...s.loads.filter((o) => o !== null),
  ...s.stores,
]

/** Pointer of load number `i` of the expressions in a nest over `outerOperands`. */
export const loadPointer = (s: ReduceStructure, nest: Nest, i: number): Address =>
  nest.pointers[s.loads.slice(0, i).filter((o) => o !== null).length]

export const storePointer = (s: ReduceStructure, nest: Nest, i: number): Address =>
  nest.pointers[nest.pointers.length - s.stores.length + i]

/** The steps of reduced dimension 0 (or the elements of the vector dimension) that this unit does. */
export function cutLength(
  f: FunctionBuilder,
  args: Address,
  s: ReduceStructure,
  nest: Nest,
  sizeAt: number,
): I32 {
  const size = args.load(sizeAt)
  if (s.chunk === null) return f.let(size)
  const chunk = f.let(args.load(s.chunk))
  const left = f.let(size.sub(nest.indices[s.chunkIndex].mul(chunk)))
  return f.let(left.minS(chunk))
}

/** How often the reduced dimensions outside the vector one step in this unit. */
export function reducedSteps(f: FunctionBuilder, args: Address, s: ReduceStructure, nest: Nest): I32 {
  if (s.reducedSizes.length === 0) return I32.const(1)
  let steps = cutLength(f, args, s, nest, s.reducedSizes[0])
  for (const at of s.reducedSizes.slice(1)) steps = steps.mul(args.load(at))
  return f.let(steps)
}

/** Evaluates the stores for one result, which is in all lanes of `result`. */
export function storeResult(
  f: FunctionBuilder,
  code: VectorCode,
  s: ReduceStructure,
  nest: Nest,
  result: Lanes,
): void {
  const leaf = (e: Expr): Lanes =>
    e.op === 'acc' ? result : loadOne(f, s.loads[e.value]!.operand, loadPointer(s, nest, e.value))
  const values = code.evaluate(s.values, leaf)
  const words = values.map((value, i) =>
    f.let<Lanes>(s.stores[i].operand.dtype === 'bool' ? (value as I32x4).and(I32x4.const(1)) : value),
  )
  for (const [i, word] of words.entries()) f.storeLane(storePointer(s, nest, i), word, 0)
}
