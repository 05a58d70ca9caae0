/**
 * Products with few rows of a (decoding: one row a sequence): nothing is packed, b streams from memory once.
 * Two layouts of b: contiguous along K (a weight [N, K] seen transposed), where every element of the result is an inner
 * product, and contiguous along N, where weighted rows of b are added up.
 */
import { dtypeInfo } from '../../../dtype.ts'
import type { CallOperand } from '../../../plan/kernel.ts'
import type { ArgWord, Dispatch, LowerContext } from '../dispatch.ts'
import { ceilDiv, operandAddress } from './arguments.ts'
import { batchLayout } from './batches.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { fewRowsBlock, INNER_COLUMNS, OUTER_COLUMNS } from './matmul-rows-arguments.ts'
import { emitInnerProducts } from './matmul-rows-inner.ts'
import { emitWeightedRows } from './matmul-rows-outer.ts'

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
  const { relaxedSimd } = ctx.features
  const bytes = dtypeInfo(p.w.dtype).deviceBytes
  const inner = p.wStride === bytes
  const blocks = ceilDiv(p.columns, inner ? INNER_COLUMNS : OUTER_COLUMNS)
  const units = p.batches * blocks
  const cost = p.batches * p.columns * p.k * Math.max(bytes / 25, p.rows / 20)
  const xBatch = batchLayout(p.x)
  const code = { rows: p.rows, dtype: p.w.dtype, relaxedSimd, bias: p.bias !== null }
  const key = `${p.rows}.${p.w.dtype}.${relaxedSimd}.${code.bias}`
  return [
    {
      codeKey: inner ? `matmul.inner.${key}` : `matmul.outer.${key}`,
      emit: () => (inner ? emitInnerProducts(code) : emitWeightedRows(code)),
      args: fewRowsBlock.words({
        x: operandAddress(p.x),
        w: operandAddress(p.w),
        y: p.y,
        bias: p.bias ?? 0,
        columns: p.columns,
        k: p.k,
        blocks,
        ...batchLayout(p.w),
        xRowStride: p.xRowStride,
        xStride: p.xStride,
        wColumnStride: p.wColumnStride,
        wStride: p.wStride,
        yRowStride: p.yRowStride,
        yColumnStride: p.yColumnStride,
        yBatchStride: p.yBatchStride,
        biasRowStride: p.biasRowStride,
        biasColumnStride: p.biasColumnStride,
        xSize1: xBatch.size1,
        xSize2: xBatch.size2,
        xStride0: xBatch.stride0,
        xStride1: xBatch.stride1,
        xStride2: xBatch.stride2,
      }),
      units,
      // x is copied once a grain: about ten microseconds of work, but pieces for a few threads
      grain: Math.max(1, Math.min(Math.round((10_000 * units) / (cost + 1)), Math.floor(units / 8))),
      cost,
      localBytes: inner ? Math.max(16, p.rows * p.k * 4) : p.rows * OUTER_COLUMNS * 4,
    },
  ]
}
