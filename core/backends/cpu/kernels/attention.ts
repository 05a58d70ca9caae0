import type { CallKernel } from '../../../plan/kernel.ts'
import { type Dispatch, type LowerContext, scratch } from '../dispatch.ts'
import { attentionCall } from './attention-arguments.ts'
import { backwardRowsBytes, lowerBlockedBackward } from './attention-backward.ts'
import { isDecode, lowerDecode } from './attention-decode.ts'
import { lowerBlockedForward } from './attention-forward.ts'

export function lowerAttention(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [q, k, v, ...optional] = kernel.inputs
  const [o, lse] = kernel.outputs
  const call = attentionCall(kernel, ctx, { q, k, v, optional, o, lse })
  return isDecode(call) ? [lowerDecode(call)] : lowerBlockedForward(call)
}

export function lowerAttentionBackward(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [dOut, q, k, v, o, lse, ...optional] = kernel.inputs
  const rows = scratch(ctx.scratch(backwardRowsBytes(lse.shape.reduce((a, b) => a * b, 1))))
  const tensors = { q, k, v, optional, o, lse, dOut, gradients: kernel.outputs, rows }
  return lowerBlockedBackward(attentionCall(kernel, ctx, tensors))
}
