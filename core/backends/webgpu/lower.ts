import type { Kernel } from '../../plan/kernel.ts'
import type { Dispatch, LowerContext } from './dispatch.ts'
import { CALLS } from './kernels/index.ts'
import { lowerMap } from './map.ts'
import { lowerReduce } from './reduce.ts'

/** The dispatches of a kernel, in order; throws one clear line for what the adapter cannot do. */
export function lowerKernel(kernel: Kernel, ctx: LowerContext): Dispatch[] {
  switch (kernel.kind) {
    case 'map':
      return lowerMap(kernel, ctx)
    case 'reduce':
      return lowerReduce(kernel, ctx)
    case 'call': {
      const call = CALLS[kernel.name]
      if (!call) throw new Error(`[webgpu] there is no kernel ${kernel.name}`)
      return call.lower(kernel, ctx)
    }
  }
}
