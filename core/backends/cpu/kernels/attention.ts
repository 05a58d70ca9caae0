import type { CallKernel } from '../../../plan/kernel.ts'
import { type Dispatch, type LowerContext, scratch } from '../dispatch.ts'
import { attentionCall } from './attention-arguments.ts'
import { lowerBlockedBackward } from './attention-backward.ts'
import { isDecode, lowerDecode } from './attention-decode.ts'
import { lowerBlockedForward } from './attention-forward.ts'
import { backwardRowsBytes } from './attention-gradient.ts'
import { isShortCall } from './attention-short.ts'
import { lowerShortBackward } from './attention-short-backward.ts'
import { lowerShortForward } from './attention-short-forward.ts'

export function lowerAttention(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [q, k, v, ...optional] = kernel.inputs
  const [o, lse] = kernel.outputs
  const call = attentionCall(kernel, ctx, { q, k, v, optional, o, lse })
  if (isDecode(call)) return [lowerDecode(call)]
  if (isShortCall(call)) return [lowerShortForward(call)]
  return [...(call.code.packed ? [lowerShortForward(call)] : []), ...lowerBlockedForward(call)]
}

export function lowerAttentionBackward(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const [dOut, q, k, v, o, lse, ...optional] = kernel.inputs
  const rows = scratch(ctx.scratch(backwardRowsBytes(lse.shape.reduce((a, b) => a * b, 1))))
  const tensors = { q, k, v, optional, o, lse, dOut, gradients: kernel.outputs, rows }
  const call = attentionCall(kernel, ctx, tensors)
  if (isShortCall(call)) return [lowerShortBackward(call)]
  return [...(call.code.packed ? [lowerShortBackward(call)] : []), ...lowerBlockedBackward(call)]
}
