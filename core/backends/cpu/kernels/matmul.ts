import type { CallKernel, MapKernel } from '../../../plan/kernel.ts'
import type { Dispatch, LowerContext } from '../dispatch.ts'
import { isEpilogue, paysAsEpilogue } from './matmul-epilogue.ts'
import { lowerPacked } from './matmul-packed.ts'
import { isInPackedStrips, lowerPackedStrips } from './matmul-packed-strips.ts'
import { type MatmulProblem, matmulProblem } from './matmul-problem.ts'
import { fewRowsProblem, lowerFewRows } from './matmul-rows.ts'
import { isSmallBatched, lowerSmallBatched } from './matmul-small.ts'
import { isStreamed, lowerStreamed } from './matmul-streamed.ts'
import { isInStrips, lowerStrips } from './matmul-strips.ts'

/** Products of many rows, computed in tiles from packed operands. */
const isTiled = (p: MatmulProblem): boolean =>
  !isStreamed(p) && !isInStrips(p) && !fewRowsProblem(p) && (isInPackedStrips(p) || !isSmallBatched(p))

/** Whether a product can apply a map to its result: where it computes it in tiles. */
export const canTakeEpilogue = (kernel: CallKernel, map: MapKernel): boolean =>
  isTiled(matmulProblem(kernel)) && isEpilogue(map)

/** Whether it can, and gains by it. */
export const takesEpilogue = (kernel: CallKernel, map: MapKernel): boolean =>
  paysAsEpilogue(map) && canTakeEpilogue(kernel, map)

/** Chooses by shape and strides; a system BLAS would take large float32 products here, before the packed path. */
export function lowerMatmul(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const problem = matmulProblem(kernel)
  if (problem.batches * problem.m * problem.n === 0) return []
  if (isTiled(problem))
    return isInPackedStrips(problem)
      ? lowerPackedStrips(problem, ctx, kernel.epilogue)
      : lowerPacked(problem, ctx, kernel.epilogue)
  if (kernel.epilogue) throw new Error('[matmul] only a product that is computed in tiles has an epilogue')
  if (isStreamed(problem)) return lowerStreamed(problem, ctx)
  if (isInStrips(problem)) return lowerStrips(problem, ctx.features)
  const fewRows = fewRowsProblem(problem)
  return fewRows ? lowerFewRows(fewRows, ctx) : lowerSmallBatched(problem, ctx)
}
