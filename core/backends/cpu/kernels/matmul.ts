import type { CallKernel } from '../../../plan/kernel.ts'
import type { Dispatch, LowerContext } from '../dispatch.ts'
import { lowerPacked } from './matmul-packed.ts'
import { isInPackedStrips, lowerPackedStrips } from './matmul-packed-strips.ts'
import { matmulProblem } from './matmul-problem.ts'
import { fewRowsProblem, lowerFewRows } from './matmul-rows.ts'
import { isSmallBatched, lowerSmallBatched } from './matmul-small.ts'
import { isStreamed, lowerStreamed } from './matmul-streamed.ts'
import { isInStrips, lowerStrips } from './matmul-strips.ts'

/** Chooses by shape and strides; a system BLAS would take large float32 products here, before the packed path. */
export function lowerMatmul(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const problem = matmulProblem(kernel)
  if (problem.batches * problem.m * problem.n === 0) return []
  if (isStreamed(problem)) return lowerStreamed(problem, ctx)
  if (isInStrips(problem)) return lowerStrips(problem, ctx.features)
  const fewRows = fewRowsProblem(problem)
  if (fewRows) return lowerFewRows(fewRows, ctx)
  if (isInPackedStrips(problem)) return lowerPackedStrips(problem, ctx)
  return isSmallBatched(problem) ? lowerSmallBatched(problem, ctx) : lowerPacked(problem, ctx)
}
