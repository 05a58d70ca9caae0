import { expandMath } from '../../../math.ts'
import type { Epilogue, MapKernel, Operand } from '../../../plan/kernel.ts'
import { Address, type FunctionBuilder, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { countOps, type ElementOperand, emitElements } from '../codegen/elements.ts'
import { elementCost } from '../codegen/map.ts'
import { type MapValues, mapCode, mapKey } from '../codegen/map-code.ts'
import {
  ArgumentWords,
  addOperand,
  addScalars,
  elementBytes,
  type LoopOperand,
  loadSplat,
  loopOperand,
  type OperandWords,
  operandKey,
  stepOf,
} from '../codegen/operands.ts'
import { makeHelpers } from '../codegen/vector-code.ts'
import { type ArgWord, byteCount, type CpuFeatures } from '../dispatch.ts'

/** Bytes of a cache line. */
const LINE = 64

/** Whether rows of every operand lie in one run each, or are one number: others would be read element by element. */
export const isEpilogue = (map: MapKernel): boolean =>
  map.loads.every((o) => stepOf(o.strides[1]) !== 'strided') &&
  map.stores.every((s) => s.operand.strides[1] === 1)

/** Operations an element that hide the latency of reading short runs of other operands. */
const MANY_OPERATIONS = 20
/** Whether it gains over a kernel of its own, which reads everything in long runs: docs/performance.md has what was measured. */
export const paysAsEpilogue = (map: MapKernel): boolean =>
  countOps(map.stores.map((s) => expandMath(s.value))) >= MANY_OPERATIONS

export interface EpilogueCode {
  /** What `emit` depends on, to be added to the product's own key. */
  readonly key: string
  /** The arguments of the product, then those of the epilogue. */
  readonly words: readonly ArgWord[]
  /** Nanoseconds, roughly. */
  readonly elementCost: number
  readonly keepsProduct: boolean
  /**
   * `epilogue(args, c, cStride, row, column, rows, columns)`: applies it to rows x columns of the result that lie at `c`, whose
   * first one is at `row` (of all rows of all batches) and `column`.
   */
  emit(module: ModuleBuilder): FunctionHandle | null
}

/**
 * `product` is the buffer of the result, `before` the arguments that precede those of the epilogue. Without one, nothing is added
 * to the product.
 */
export function epilogueCode(
  epilogue: Epilogue | undefined,
  product: number,
  before: readonly ArgWord[],
  features: CpuFeatures,
): EpilogueCode {
  if (!epilogue) return { key: '', words: before, elementCost: 0, keepsProduct: true, emit: () => null }
  const { map, keepsProduct } = epilogue
  const words = new ArgumentWords(before)
  const values = map.stores.map((s) => expandMath(s.value))
  const isProduct = (o: Operand) => o.buffer === product
  // the product's elements are where the tile is, which is not in the block
  const operand = (o: Operand): LoopOperand => {
    const plain = loopOperand(o)
    return isProduct(o) ? { ...plain, base: byteCount(0) } : plain
  }
  const scalars = addScalars(words, map.scalars)
  const loads = map.loads.map((o) => addOperand(words, operand(o)))
  const stores = map.stores.map((s) => addOperand(words, operand(s.operand)))
  const products = map.loads.map(isProduct)
  const operands = [...loads, ...stores].map((o) => o.operand)
  const structure = { values, scalars, loads, stores, products, wide: features.wideSimd }
  return {
    key: `&${keepsProduct}|${mapKey(
      values,
      map.scalars,
      loads.map((o, i) => (products[i] ? 'c' : operandKey(o.operand, 1))),
      stores.map((o) => operandKey(o.operand, 1)),
    )}`,
    words: words.words,
    elementCost: elementCost(values, operands.slice(0, loads.length), operands.slice(loads.length)),
    keepsProduct,
    emit: (module) => emitEpilogue(module, structure),
  }
}

interface Structure extends MapValues {
  readonly stores: readonly OperandWords[]
  /** Which loads are the product. */
  readonly products: readonly boolean[]
  readonly wide: boolean
}

function emitEpilogue(module: ModuleBuilder, s: Structure): FunctionHandle {
  const helpers = makeHelpers(module, s.values)
  const parameters = {
    args: Address,
    c: Address,
    cStride: Address,
    row: I32,
    column: I32,
    rows: I32,
    columns: I32,
  }
  return module.function(null, parameters, (f, p) => {
    const { args } = p
    const code = mapCode(f, helpers, args, s, s.wide)
    const operands = [...s.loads, ...s.stores]
    const strides = operands.map((o, i) =>
      s.products[i] ? p.cStride : f.let(args.loadAddress(o.strides[0])),
    )
    const pointers = operands.map((o, i) => {
      if (s.products[i]) return f.let<Address>(p.c)
      const inner = stepOf(o.operand.strides[1]) === 'broadcast' ? 0 : elementBytes(o.operand)
      const row = args.loadAddress(o.base).at(p.row, strides[i])
      return f.let(inner === 0 ? row : row.at(p.column, inner))
    })
    const element = ({ operand }: OperandWords, i: number): ElementOperand => ({
      operand,
      step: stepOf(operand.strides[1]),
      pointer: pointers[i],
      stride: Address.const(elementBytes(operand)),
    })
    const isRead = (i: number) => i < s.loads.length && !s.products[i]
    for (const [i, { operand }] of operands.entries())
      if (isRead(i) && stepOf(operand.strides[1]) === 'contiguous' && operand.dtype !== 'address')
        touchLines(f, pointers[i], strides[i], p.rows, p.columns.mul(elementBytes(operand)))
    const loads = s.loads.map(element)
    const stores = s.stores.map((o, i) => element(o, s.loads.length + i))
    f.for(0, p.rows, 1, () => {
      code.hoist(1, (e) => loadSplat(f, s.loads[e.value].operand, pointers[e.value]))
      emitElements(f, code, s.values, loads, stores, p.columns)
      for (const [i, pointer] of pointers.entries()) pointer.set(pointer.add(strides[i]))
    })
  })
}

/**
 * Reads a word of each cache line of some rows, and does nothing with it: lines that the processor waits for all at once, where
 * it would wait for them row by row.
 */
function touchLines(f: FunctionBuilder, from: Address, stride: Address, rows: I32, bytes: I32): void {
  const row = f.let(from)
  const length = f.let(bytes)
  f.for(0, rows, 1, () => {
    f.for(0, length, LINE, (at) => {
      f.let(row.at(at, 1).load())
    })
    row.set(row.add(stride))
  })
}
