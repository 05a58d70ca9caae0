/** The hand-written kernels of the cpu backend, by name. */
import type { CallKernel, CallName } from '../../../plan/kernel.ts'
import type { Dispatch, Lower, LowerContext } from '../dispatch.ts'
import { lowerArgmax } from './argmax.ts'
import { lowerAttention, lowerAttentionBackward } from './attention.ts'
import { lowerGather } from './gather.ts'
import { lowerMatmul } from './matmul.ts'
import { lowerLayerNorm, lowerLayerNormBackward, lowerRmsNorm, lowerRmsNormBackward } from './norms.ts'
import { lowerPhilox } from './philox.ts'
import { lowerGatherRows, lowerScatterAddRows } from './rows-by-id.ts'
import { lowerSoftmax } from './softmax.ts'

const LOWER: Record<CallName, Lower> = {
  matmul: lowerMatmul,
  softmax: lowerSoftmax,
  layerNorm: lowerLayerNorm,
  layerNormBackward: lowerLayerNormBackward,
  rmsNorm: lowerRmsNorm,
  rmsNormBackward: lowerRmsNormBackward,
  gatherRows: lowerGatherRows,
  scatterAddRows: lowerScatterAddRows,
  gather: lowerGather,
  argmax: lowerArgmax,
  philox: lowerPhilox,
  attention: lowerAttention,
  attentionBackward: lowerAttentionBackward,
}

/** Whether there is a kernel for this call. */
export const supportsCall = (call: Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>): boolean =>
  LOWER[call.name] !== undefined

export function lowerCall(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const lower = LOWER[kernel.name]
  if (!lower) throw new Error(`[cpu] there is no kernel named ${kernel.name}`)
  return lower(kernel, ctx)
}
