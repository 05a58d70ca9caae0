/**
 * Products with few rows of a (decoding: one row a sequence): nothing is packed, b streams from memory once.
 * Two layouts of b: contiguous along K (a weight [N, K] seen transposed), where every element of the result is an inner
 * product, and contiguous along N, where weighted rows of b are added up.
 */
import { dtypeInfo } from '../../../dtype.ts'
import type { CallOperand } from '../../../plan/kernel.ts'
import { type ArgWord, byteCount, type Dispatch, type LowerContext, scratch } from '../dispatch.ts'
import { ceilDiv, grainOf, operandAddress } from './arguments.ts'
import { batchLayout } from './batches.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { type FewRowsCode, fewRowsBlock, INNER_COLUMNS } from './matmul-rows-arguments.ts'
import { emitInnerProducts, innerScratch, streamsOf } from './matmul-rows-inner.ts'
import { emitPartialSums, emitWeightedRows, partialSumUnits, partsOf } from './matmul-rows-outer.ts'

/** At most so many rows of x are taken through b at once. */
export const LARGEST_FEW_ROWS = 8

/** y[m, n] = sum over k of x[m, k] w[n, k] + bias; all strides in bytes. */
export interface FewRowsProblem {
  readonly x: CallOperand
  readonly w: CallOperand
  readonly rows: number
  readonly columns: number
  readonly k: number
  readonly batches: number
  readonly xRowStride: number
  readonly xStride: number
  readonly wColumnStride: number
  readonly wStride: number
  readonly y: ArgWord
  readonly yRowStride: number
  readonly yColumnStride: number
  readonly yBatchStride: number
  readonly bias: ArgWord | null
  readonly biasRowStride: number
  readonly biasColumnStride: number
}

/** The product seen with few rows: as it is, or transposed where the result has few columns; null where it has neither. */
export function fewRowsProblem(p: MatmulProblem): FewRowsProblem | null {
  const bytesB = dtypeInfo(p.b.dtype).deviceBytes
  const [aRow, aK] = p.a.strides.slice(-2).map((s) => s * 4)
  const [bK, bColumn] = p.b.strides.slice(-2).map((s) => s * bytesB)
  const common = {
    k: p.k,
    batches: p.batches,
    y: operandAddress(p.c),
    yBatchStride: p.m * p.n * 4,
    bias: p.bias && operandAddress(p.bias),
  }
  if (p.m <= LARGEST_FEW_ROWS && (bK === bytesB || bColumn === bytesB))
    return {
      ...common,
      x: p.a,
      w: p.b,
      rows: p.m,
      columns: p.n,
      xRowStride: aRow,
      xStride: aK,
      wColumnStride: bColumn,
      wStride: bK,
      yRowStride: p.n * 4,
      yColumnStride: 4,
      biasRowStride: 0,
      biasColumnStride: 4,
    }
  if (p.n <= LARGEST_FEW_ROWS && p.b.dtype === 'float32' && (aK === 4 || aRow === 4))
    return {
      ...common,
      x: p.b,
      w: p.a,
      rows: p.n,
      columns: p.m,
      xRowStride: bColumn,
      xStride: bK,
      wColumnStride: aRow,
      wStride: aK,
      yRowStride: 4,
      yColumnStride: p.n * 4,
      biasRowStride: 4,
      biasColumnStride: 0,
    }
  return null
}

export function lowerFewRows(p: FewRowsProblem, ctx: LowerContext): Dispatch[] {
  const bytes = dtypeInfo(p.w.dtype).deviceBytes
  return p.wStride === bytes ? [lowerInnerProducts(p, ctx)] : lowerWeightedRows(p, ctx)
}

const codeOf = (p: FewRowsProblem, { features }: LowerContext): FewRowsCode => ({
  rows: p.rows,
  dtype: p.w.dtype,
  ...features,
  bias: p.bias !== null,
})

const keyOf = (name: string, c: FewRowsCode): string =>
  `matmul.${name}.${c.rows}.${c.dtype}.${c.relaxedSimd}.${c.wideSimd}.${c.bias}`

/** Nanoseconds on one thread: bound by memory, or by arithmetic. */
const costOf = (p: FewRowsProblem): number =>
  p.batches * p.columns * p.k * Math.max(dtypeInfo(p.w.dtype).deviceBytes / 25, p.rows / 20)

type Cut = { blocks: number; parts: number; kPart: number; partial: ArgWord }

function wordsOf(p: FewRowsProblem, cut: Cut): ArgWord[] {
  const x = batchLayout(p.x)
  return fewRowsBlock.words({
    ...batchLayout(p.w),
    ...cut,
    x: operandAddress(p.x),
    w: operandAddress(p.w),
    y: p.y,
    bias: p.bias ?? 0,
    columns: p.columns,
    k: p.k,
    xRowStride: p.xRowStride,
    xStride: p.xStride,
    wColumnStride: p.wColumnStride,
    wStride: p.wStride,
    yRowStride: p.yRowStride,
    yColumnStride: p.yColumnStride,
    yBatchStride: p.yBatchStride,
    biasRowStride: p.biasRowStride,
    biasColumnStride: p.biasColumnStride,
    xSize1: x.size1,
    xSize2: x.size2,
    xStride0: x.stride0,
    xStride1: x.stride1,
    xStride2: x.stride2,
  })
}

function lowerInnerProducts(p: FewRowsProblem, ctx: LowerContext): Dispatch {
  const code = codeOf(p, ctx)
  const blocks = ceilDiv(ceilDiv(p.columns, streamsOf(code)), INNER_COLUMNS)
  const units = p.batches * blocks
  const cost = costOf(p)
  return {
    codeKey: keyOf('inner', code),
    wide: ctx.features.wideSimd,
    emit: () => emitInnerProducts(code),
    args: wordsOf(p, { blocks, parts: 1, kPart: p.k, partial: byteCount(0) }),
    units,
    // x is copied once a grain
    grain: grainOf(units, cost / units),
    cost,
    localBytes: innerScratch(code, p.k),
  }
}

function lowerWeightedRows(p: FewRowsProblem, ctx: LowerContext): Dispatch[] {
  const code = codeOf(p, ctx)
  const { blocks, parts, kPart } = partsOf(p.columns, p.k)
  const results = p.batches * p.rows * p.columns
  const partial = scratch(ctx.scratch(results * parts * 4))
  const args = wordsOf(p, { blocks, parts, kPart, partial })
  const units = p.batches * parts * blocks
  const cost = costOf(p)
  const sums = p.batches * p.rows * partialSumUnits(p.columns)
  const sumsCost = results * parts * 0.5
  return [
    {
      codeKey: keyOf('outer', code),
      emit: () => emitWeightedRows(code),
      args,
      units,
      grain: grainOf(units, cost / units),
      cost,
    },
    {
      codeKey: keyOf('partialSums', code),
      emit: () => emitPartialSums(code),
      args,
      units: sums,
      grain: grainOf(sums, sumsCost / sums),
      cost: sumsCost,
    },
  ]
}
