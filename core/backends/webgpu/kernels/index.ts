/** The hand-written kernels by name. */
import type { CallName } from '../../../plan/kernel.ts'
import type { CallImplementation } from './call.ts'
import { lowerMatmul } from './matmul.ts'

export const CALLS: Partial<Record<CallName, CallImplementation>> = {
  matmul: { lower: lowerMatmul },
}
