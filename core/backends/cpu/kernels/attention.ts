import type { CallKernel } from '../../../plan/kernel.ts'
import type { Dispatch, LowerContext } from '../dispatch.ts'
import { attentionCall } from './attention-arguments.ts'
import { lowerBlockedForward } from './attention-forward.ts'

export function lowerAttention(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [q, k, v, ...optional] = kernel.inputs
  const [o, lse] = kernel.outputs
  return lowerBlockedForward(attentionCall(kernel, ctx, { q, k, v, optional, o, lse }))
}
