/**
 * Maps with transposed operands: contiguous along another dimension than the one the result is contiguous in. Both
 * dimensions are cut into tiles; a tile of each such operand is turned over into thread-local memory first, four by four
 * elements in registers, so that whole cache lines are read and written.
 */
import type { Expr } from '../../../expr.ts'
import { expandMath } from '../../../math.ts'
import type { MapKernel } from '../../../plan/kernel.ts'
import { Address, type FunctionBuilder, I32, type I32x4, ModuleBuilder } from '../assembler.ts'
import type { CpuFeatures, Dispatch, LowerContext } from '../dispatch.ts'
import { countOps, type ElementOperand, elementOperand, emitElements } from './elements.ts'
import { mapCode, mapKey } from './map-code.ts'
import { Nest } from './nest.ts'
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
} from './operands.ts'
import { makeHelpers } from './vector-code.ts'

/** A tile: rows are of the dimension in which the transposed operands are contiguous; 16 words are a cache line. */
const ROWS = 16
const COLUMNS = 64
const TILE_BYTES = ROWS * COLUMNS * 4

const isTransposed = (o: LoopOperand, dim: number): boolean =>
  elementBytes(o) === 4 && o.strides[dim] === 1 && stepOf(o.strides.at(-1)!) === 'strided'

/** The outer dimension along which strided operands are contiguous, if cutting it into tiles is worth while; else -1. */
export function tiledDim(kernel: MapKernel): number {
  const rank = kernel.shape.length
  if (kernel.shape[rank - 1] < 8 || kernel.stores.some((s) => s.operand.strides[rank - 1] !== 1)) return -1
  const loads = kernel.loads.map((o) => loopOperand(o))
  return kernel.shape.findIndex(
    (size, d) => d < rank - 1 && size >= 8 && loads.some((o) => isTransposed(o, d)),
  )
}

interface TiledStructure {
  readonly features: CpuFeatures
  readonly values: readonly Expr[]
  /** Loop dimensions: outer ones, tiles of rows, tiles of columns; then a row, then a column, of a tile. */
  readonly loads: readonly OperandWords[]
  readonly stores: readonly OperandWords[]
  /** Numbers of the loads that are transposed. */
  readonly transposed: readonly number[]
  readonly scalars: readonly number[]
  readonly sizes: readonly number[]
  readonly rows: number
  readonly columns: number
}

export function lowerTiledMap(kernel: MapKernel, dim: number, ctx: LowerContext): Dispatch[] {
  const rank = kernel.shape.length
  const [rows, columns] = [kernel.shape[dim], kernel.shape[rank - 1]]
  const others = kernel.shape.map((_, d) => d).filter((d) => d !== dim && d !== rank - 1)
  const tile = (o: LoopOperand): LoopOperand => {
    const [row, column] = [o.strides[dim], o.strides[rank - 1]]
    return { ...o, strides: [...others.map((d) => o.strides[d]), row * ROWS, column * COLUMNS, row, column] }
  }
  const plain = kernel.loads.map((o) => loopOperand(o))
  const transposed = plain.flatMap((o, i) => (isTransposed(o, dim) ? [i] : []))
  const loads = plain.map(tile)
  const stores = kernel.stores.map((s) => tile(loopOperand(s.operand)))
  const sizes = [...others.map((d) => kernel.shape[d]), Math.ceil(rows / ROWS), Math.ceil(columns / COLUMNS)]

  const words = new ArgumentWords()
  const structure: TiledStructure = {
    features: ctx.features,
    values: kernel.stores.map((s) => expandMath(s.value)),
    transposed,
    rows: words.add(rows),
    columns: words.add(columns),
    sizes: sizes.map((s) => words.add(s)),
    scalars: addScalars(words, kernel.scalars),
    loads: loads.map((o) => addOperand(words, o)),
    stores: stores.map((o) => addOperand(words, o)),
  }
  const key = (o: LoopOperand) => operandKey(o, sizes.length + 1)
  const units = sizes.reduce((n, s) => n * s, 1)
  const unitCost = ROWS * COLUMNS * (0.6 + 0.4 * loads.length + 0.08 * countOps(structure.values))
  return [
    {
      codeKey: `tiled${sizes.length}${ctx.features.relaxedSimd ? 'r' : ''}${transposed}|${mapKey(structure.values, kernel.scalars, loads.map(key), stores.map(key))}`,
      emit: () => emitTiledMap(structure),
      args: words.words,
      units,
      grain: Math.max(1, Math.round(10_000 / unitCost)),
      cost: units * unitCost,
      localBytes: TILE_BYTES * transposed.length,
    },
  ]
}

function emitTiledMap(s: TiledStructure): ModuleBuilder {
  const module = new ModuleBuilder(s.features)
  const helpers = makeHelpers(module, s.values)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const code = mapCode(f, helpers, args, s)
      const operands = [...s.loads, ...s.stores]
      const nest = new Nest(f, args, s.sizes, operands)
      const pointers = f.locals(Address, operands.length)
      const [rows, columns] = f.locals(I32, 2)
      nest.seek(start)
      f.for(start, end, 1, () => {
        const [rowTile, columnTile] = nest.indices.slice(-2)
        rows.set(f.let(args.load(s.rows).sub(rowTile.mul(ROWS))).minS(I32.const(ROWS)))
        columns.set(f.let(args.load(s.columns).sub(columnTile.mul(COLUMNS))).minS(I32.const(COLUMNS)))
        for (const [n, i] of s.transposed.entries()) {
          const stride = f.let(args.loadAddress(s.loads[i].strides.at(-1)!))
          turnOver(f, nest.pointers[i], stride, local.add(n * TILE_BYTES), rows, columns)
        }
        for (const [i, pointer] of pointers.entries()) {
          const n = s.transposed.indexOf(i)
          pointer.set(n < 0 ? nest.pointers[i] : local.add(n * TILE_BYTES))
        }
        f.for(0, rows, 1, () => {
          code.hoist(1, (e) => loadSplat(f, s.loads[e.value].operand, pointers[e.value]))
          const element = (o: OperandWords, i: number): ElementOperand =>
            s.transposed.includes(i)
              ? { operand: o.operand, step: 'contiguous', pointer: pointers[i], stride: Address.const(4) }
              : elementOperand(args, o, pointers[i])
          const loads = s.loads.map(element)
          const stores = s.stores.map((o, i) => element(o, s.loads.length + i))
          emitElements(f, code, s.values, loads, stores, columns)
          for (const [i, pointer] of pointers.entries())
            pointer.set(
              pointer.add(
                s.transposed.includes(i) ? COLUMNS * 4 : args.loadAddress(operands[i].strides.at(-2)!),
              ),
            )
        })
        nest.advance()
      })
    },
  )
  return module
}

/** Copies a tile whose columns lie `stride` bytes apart, and whose rows one word, to rows of COLUMNS words. */
function turnOver(
  f: FunctionBuilder,
  from: Address,
  stride: Address,
  to: Address,
  rows: I32,
  columns: I32,
): void {
  const source = f.let(from)
  const target = f.let(to)
  const column = f.local(I32)
  column.set(0)
  f.if(rows.eq(ROWS), () => {
    const last = f.let(columns.sub(4))
    f.while(column.leS(last), () => {
      for (let row = 0; row < ROWS; row += 4) {
        let at: Address = source
        const vectors: I32x4[] = []
        for (let i = 0; i < 4; i++) {
          vectors.push(f.let(at.loadI32x4(row * 4)))
          at = f.let(at.add(stride))
        }
        for (const [i, vector] of transpose(f, vectors).entries())
          f.storeVector(target, vector, (row + i) * COLUMNS * 4)
      }
      source.set(source.add(stride.mul(4)))
      target.set(target.add(16))
      column.set(column.add(4))
    })
  })
  // the tile's edge
  f.while(column.ltS(columns), () => {
    f.for(0, rows, 1, (row) => {
      f.store(target.at(row, COLUMNS * 4), source.at(row, 4).load())
    })
    source.set(source.add(stride))
    target.set(target.add(4))
    column.set(column.add(1))
  })
}

/** Four by four words. */
function transpose(f: FunctionBuilder, [a, b, c, d]: readonly I32x4[]): I32x4[] {
  const ab = [f.let(a.shuffle(b, [0, 4, 1, 5])), f.let(a.shuffle(b, [2, 6, 3, 7]))]
  const cd = [f.let(c.shuffle(d, [0, 4, 1, 5])), f.let(c.shuffle(d, [2, 6, 3, 7]))]
  return [0, 1].flatMap((i) => [ab[i].shuffle(cd[i], [0, 1, 4, 5]), ab[i].shuffle(cd[i], [2, 3, 6, 7])])
}
