/** The hand-written kernels by name. */
import type { CallName } from '../../../plan/kernel.ts'
import { lowerAttention } from './attention.ts'
import { lowerAttentionBackward } from './attention_backward.ts'
import type { CallImplementation } from './call.ts'
import { lowerArgmax, lowerGather, lowerGatherRows, lowerScatterAddRows } from './indexing.ts'
import { lowerMatmul } from './matmul.ts'
import { lowerPhilox } from './random.ts'
import {
  lowerLayerNorm,
  lowerLayerNormBackward,
  lowerRmsNorm,
  lowerRmsNormBackward,
  lowerSoftmax,
} from './rows.ts'

export const CALLS: Partial<Record<CallName, CallImplementation>> = {
  matmul: { lower: lowerMatmul },
  softmax: { lower: lowerSoftmax },
  layerNorm: { lower: lowerLayerNorm },
  layerNormBackward: { lower: lowerLayerNormBackward },
  rmsNorm: { lower: lowerRmsNorm },
  rmsNormBackward: { lower: lowerRmsNormBackward },
  gatherRows: { lower: lowerGatherRows },
  scatterAddRows: { lower: lowerScatterAddRows },
  gather: { lower: lowerGather },
  argmax: { lower: lowerArgmax },
  attention: { lower: lowerAttention },
  attentionBackward: { lower: lowerAttentionBackward },
  philox: { lower: lowerPhilox },
}
