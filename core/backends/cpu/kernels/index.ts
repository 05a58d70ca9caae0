/** The hand-written kernels of the cpu backend, by name. */
import type { CallKernel, CallName } from '../../../plan/kernel.ts'
import type { Dispatch, Lower, LowerContext } from '../dispatch.ts'
import { lowerMatmul } from './matmul.ts'

const LOWER: Partial<Record<CallName, Lower>> = {
  matmul: lowerMatmul,
}

/** Whether there is a kernel for this call. */
export const supportsCall = (call: Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>): boolean =>
  LOWER[call.name] !== undefined

export function lowerCall(kernel: CallKernel, ctx: LowerContext): Dispatch[] {
  const lower = LOWER[kernel.name]
  if (!lower) throw new Error(`[cpu] there is no kernel named ${kernel.name}`)
  return lower(kernel, ctx)
}
