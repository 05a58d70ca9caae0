import type { DType } from '../../../dtype.ts'
import type { FunctionBuilder, I32 } from '../assembler.ts'
import { argumentBlock } from './arguments.ts'
import { batchFields, batchOffset } from './batches.ts'

/** What the code of a product with few rows depends on. */
export interface FewRowsCode {
  readonly rows: number
  readonly dtype: DType
  readonly relaxedSimd: boolean
  readonly wideSimd: boolean
  readonly bias: boolean
}

export const fewRowsBlock = argumentBlock({
  x: 'address',
  w: 'address',
  y: 'address',
  bias: 'address',
  columns: 'i32',
  k: 'i32',
  blocks: 'i32',
  ...batchFields,
  xRowStride: 'address',
  xStride: 'address',
  wColumnStride: 'address',
  wStride: 'address',
  yRowStride: 'address',
  yColumnStride: 'address',
  yBatchStride: 'address',
  biasRowStride: 'address',
  biasColumnStride: 'address',
  // where b is contiguous along N: partial sums [batch][parts][rows][columns], each over kPart of K
  partial: 'address',
  parts: 'i32',
  kPart: 'i32',
  xSize1: 'i32',
  xSize2: 'i32',
  xStride0: 'address',
  xStride1: 'address',
  xStride2: 'address',
})
export type FewRowsParameters = ReturnType<typeof fewRowsBlock.read>

/** Columns of the result of each stream in a unit, where b is contiguous along K. */
export const INNER_COLUMNS = 4

/** Where x, w and y are for batch number `batch`. */
export function fewRowsAddresses(f: FunctionBuilder, p: FewRowsParameters, batch: I32) {
  const { xSize1: size1, xSize2: size2, xStride0: stride0, xStride1: stride1, xStride2: stride2 } = p
  return {
    x: f.let(p.x.add(batchOffset(f, { size1, size2, stride0, stride1, stride2 }, batch))),
    w: f.let(p.w.add(batchOffset(f, p, batch))),
    y: f.let(p.y.at(batch, p.yBatchStride)),
  }
}
