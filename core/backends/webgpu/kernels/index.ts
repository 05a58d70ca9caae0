/** The hand-written kernels by name. */
import type { CallName } from '../../../plan/kernel.ts'
import { lowerAttention } from './attention.ts'
import { lowerAttentionBackward } from './attention_backward.ts'
import type { CallImplementation } from './call.ts'
import { lowerArgmax, lowerGather, lowerGatherRows, lowerPutRows, lowerScatterAddRows } from './indexing.ts'
import { lowerMatmul } from './matmul.ts'
import { lowerPhilox } from './random.ts'
import {
  lowerLayerNorm,
  lowerLayerNormBackward,
  lowerRmsNorm,
  lowerRmsNormBackward,
  lowerSoftmax,
  rowsBind,
} from './rows.ts'

export const CALLS: Partial<Record<CallName, CallImplementation>> = {
  matmul: { lower: lowerMatmul },
  softmax: { lower: lowerSoftmax, supports: rowsBind },
  layerNorm: { lower: lowerLayerNorm, supports: rowsBind },
  layerNormBackward: { lower: lowerLayerNormBackward, supports: rowsBind },
  rmsNorm: { lower: lowerRmsNorm, supports: rowsBind },
  rmsNormBackward: { lower: lowerRmsNormBackward, supports: rowsBind },
  gatherRows: { lower: lowerGatherRows },
  scatterAddRows: { lower: lowerScatterAddRows },
  putRows: { lower: lowerPutRows },
  gather: { lower: lowerGather, supports: rowsBind },
  argmax: { lower: lowerArgmax, supports: rowsBind },
  attention: { lower: lowerAttention },
  attentionBackward: { lower: lowerAttentionBackward },
  philox: { lower: lowerPhilox },
}
