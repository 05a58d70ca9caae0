/** The hand-written kernels of the cpu backend, by name. */
import { isFloat } from '../../../dtype.ts'
import type { CallKernel, CallName, CallOperand } from '../../../plan/kernel.ts'
import type { Dispatch, Lower, LowerContext } from '../dispatch.ts'
import { lowerArgmax } from './argmax.ts'
import { lowerAttention, lowerAttentionBackward } from './attention.ts'
import { lowerGather } from './gather.ts'
import { lowerMatmul } from './matmul.ts'
import { lowerLayerNorm, lowerLayerNormBackward, lowerRmsNorm, lowerRmsNormBackward } from './norms.ts'
import { lowerPhilox } from './philox.ts'
import { lowerGatherRows, lowerPutRows, lowerScatterAddRows } from './rows-by-id.ts'
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
  putRows: lowerPutRows,
  gather: lowerGather,
  argmax: lowerArgmax,
  philox: lowerPhilox,
  attention: lowerAttention,
  attentionBackward: lowerAttentionBackward,
}

type Call = Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>

const innerStride = (o: CallOperand): number => (o.shape.at(-1) === 1 ? 1 : (o.strides.at(-1) ?? 1))

/** What a kernel asks beyond the shapes that its op has checked. */
const REQUIRES: Partial<Record<CallName, (call: Call) => boolean>> = {
  matmul: ({ inputs: [a, b] }) => a.dtype === 'float32' && isFloat(b.dtype) && a.shape.length <= 5,
  attention: ({ inputs }) => inputs.slice(0, 3).every((o) => o.dtype === 'float32' && innerStride(o) === 1),
  attentionBackward: ({ inputs }) =>
    inputs.slice(0, 5).every((o) => o.dtype === 'float32' && innerStride(o) === 1),
}

/** Whether there is a kernel for this call. */
export const supportsCall = (call: Call): boolean => REQUIRES[call.name]?.(call) ?? true

export function lowerCall(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  if (!supportsCall(kernel))
    throw new Error(`[${kernel.name}] the cpu device has no kernel for these dtypes and strides`)
  return LOWER[kernel.name](kernel, ctx)
}
