/** Map kernels: outer loops by odometer, the innermost four elements at a time. */
import type { Expr } from '../../../expr.ts'
import { expandMath } from '../../../math.ts'
import type { MapKernel } from '../../../plan/kernel.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import type { CpuFeatures, Dispatch, Lower } from '../dispatch.ts'
import { countOps, elementOperand, emitElements } from './elements.ts'
import { mapCode, mapKey } from './map-code.ts'
import { lowerTiledMap, tiledDim } from './map-tiled.ts'
import { Nest } from './nest.ts'
import {
  ArgumentWords,
  addOperand,
  addScalars,
  type LoopOperand,
  loadSplat,
  loopOperand,
  type OperandWords,
  operandKey,
  stepOf,
} from './operands.ts'
import { makeHelpers } from './vector-code.ts'

/** Elements of one work unit where the innermost dimension is cut. */
const CHUNK = 4096
/** Nanoseconds from which code for 256-bit vectors is worth its compilation, which takes milliseconds. */
const WORTH_WIDE = 50_000
/** Rows longer than this are cut, so that a few long rows still make units for all threads. */
const LONGEST_ROW = 16384

interface MapStructure {
  readonly features: CpuFeatures
  readonly wide: boolean
  readonly values: readonly Expr[]
  readonly loads: readonly OperandWords[]
  readonly stores: readonly OperandWords[]
  readonly scalars: readonly number[]
  readonly sizes: readonly number[]
  readonly length: number
  /** Where the chunk size is, if the innermost dimension is cut. */
  readonly chunk: number | null
}

export const lowerMap: Lower<MapKernel> = (kernel, ctx): Dispatch[] => {
  const tiled = tiledDim(kernel)
  if (tiled >= 0) return lowerTiledMap(kernel, tiled, ctx)
  const rank = kernel.shape.length
  const length = kernel.shape[rank - 1]
  let rows = 1
  for (const size of kernel.shape.slice(0, -1)) rows *= size
  const isCut = rank === 1 || length > LONGEST_ROW
  const chunks = isCut ? Math.ceil(length / CHUNK) : 1
  // the chunks are one more outer dimension
  const cut = (o: LoopOperand): LoopOperand => {
    const inner = o.strides[rank - 1]
    return isCut ? { ...o, strides: [...o.strides.slice(0, -1), inner * CHUNK, inner] } : o
  }
  const loads = kernel.loads.map((o) => cut(loopOperand(o)))
  const stores = kernel.stores.map((s) => cut(loopOperand(s.operand)))
  const sizes = [...kernel.shape.slice(0, -1), ...(isCut ? [chunks] : [])]

  const words = new ArgumentWords()
  const values = kernel.stores.map((s) => expandMath(s.value))
  const unitCost = Math.min(length, isCut ? CHUNK : length) * elementCost(values, loads, stores) + 5
  const units = length === 0 ? 0 : rows * chunks
  const wide = ctx.features.wideSimd && units * unitCost >= WORTH_WIDE
  const structure: MapStructure = {
    features: ctx.features,
    wide,
    values,
    length: words.add(length),
    chunk: isCut ? words.add(CHUNK) : null,
    sizes: sizes.map((s) => words.add(s)),
    scalars: addScalars(words, kernel.scalars),
    loads: loads.map((o) => addOperand(words, o)),
    stores: stores.map((o) => addOperand(words, o)),
  }
  const key = (o: LoopOperand) => operandKey(o, sizes.length)
  return [
    {
      codeKey: `map${sizes.length}${isCut ? 'c' : ''}${ctx.features.relaxedSimd ? 'r' : ''}${wide ? 'w' : ''}|${mapKey(values, kernel.scalars, loads.map(key), stores.map(key))}`,
      emit: () => emitMap(structure),
      args: words.words,
      wide,
      units,
      grain: Math.max(1, Math.round(10_000 / unitCost)),
      cost: units * unitCost,
    },
  ]
}

/** Nanoseconds, roughly: what an element costs one thread of the reference machine. */
export function elementCost(
  values: readonly Expr[],
  loads: readonly LoopOperand[],
  stores: readonly LoopOperand[],
): number {
  let cost = 0.08 * countOps(values)
  for (const o of [...loads, ...stores]) cost += stepOf(o.strides.at(-1)!) === 'strided' ? 1 : 0.3
  return cost
}

function emitMap(s: MapStructure): ModuleBuilder {
  const module = new ModuleBuilder(s.features)
  const helpers = makeHelpers(module, s.values)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const code = mapCode(f, helpers, args, s, s.wide)
    const operands = [...s.loads, ...s.stores]
    const elementOperands =
      (list: readonly OperandWords[], first: number) => (pointers: readonly Address[]) =>
        list.map((o, i) => elementOperand(args, o, pointers[first + i]))
    const loads = elementOperands(s.loads, 0)
    const stores = elementOperands(s.stores, s.loads.length)
    const nest = new Nest(f, args, s.sizes, operands)
    const length = f.let(args.load(s.length))
    const row = f.local(I32)
    nest.seek(start)
    f.for(start, end, 1, () => {
      if (s.chunk === null) row.set(length)
      else {
        const chunk = f.let(args.load(s.chunk))
        row.set(f.let(length.sub(nest.indices.at(-1)!.mul(chunk))).minS(chunk))
      }
      code.hoist(1, (e) => loadSplat(f, s.loads[e.value].operand, nest.pointers[e.value]))
      emitElements(f, code, s.values, loads(nest.pointers), stores(nest.pointers), row)
      nest.advance()
    })
  })
  return module
}
