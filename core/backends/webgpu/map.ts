/** Map kernels: one thread an element. */

import { type MapKernel, structureKey } from '../../plan/kernel.ts'
import { numel } from '../../shape.ts'
import { type Dispatch, int, type LowerContext, type ParamWord } from './dispatch.ts'
import { emitExprs } from './expr.ts'
import { decomposeIndex, LoopBindings, sizeLabel, sliceLoop, splitDim } from './operands.ts'

const WORKGROUP = 256

export function lowerMap(k: MapKernel, ctx: LowerContext): Dispatch[] {
  const total = numel(k.shape)
  if (total === 0) return []
  const bindings = new LoopBindings(k, ctx.buffers)
  if (bindings.buffers.length > ctx.limits.maxStorageBuffers)
    throw new Error(
      `[webgpu] kernel ${k.label} needs ${bindings.buffers.length} buffers and the adapter binds ${ctx.limits.maxStorageBuffers}: fuse less`,
    )
  if (bindings.largest > ctx.limits.maxBindingBytes) {
    const dim = splitDim(k.shape, k.shape.length)
    if (dim < 0)
      throw new Error(
        `[webgpu] kernel ${k.label} reads ${bindings.largest} bytes for one element; the adapter binds ${ctx.limits.maxBindingBytes}`,
      )
    const half = Math.ceil(k.shape[dim] / 2)
    return [
      ...lowerMap(sliceLoop(k, dim, 0, half), ctx),
      ...lowerMap(sliceLoop(k, dim, half, k.shape[dim] - half), ctx),
    ]
  }
  const rank = k.shape.length
  const params: Record<string, ParamWord> = { total: int(total) }
  k.shape.forEach((n, d) => {
    params[`n${d}`] = int(n)
  })
  Object.assign(params, bindings.params())
  const index = (d: number) => `x${d}`
  return [
    {
      key: `${structureKey(k)}|${bindings.pattern}`,
      label: `${k.label} ${sizeLabel(k.shape)}`,
      params,
      buffers: bindings.buffers,
      groups: Math.ceil(total / WORKGROUP),
      shader: {
        workgroupSize: WORKGROUP,
        body: () => {
          const { code, results } = emitExprs(
            k.stores.map((s) => s.value),
            {
              load: (i) => bindings.load(i, index),
              address: (i) => bindings.address(i, index),
              scalar: (i) => `p.c${i}`,
            },
            'v',
          )
          return `  let element = group * ${WORKGROUP} + lid;
  if (element < p.total) {
${decomposeIndex('element', 0, rank)}
${code}
${results.map((r, i) => bindings.store(i, r, index)).join('\n')}
  }`
        },
      },
    },
  ]
}
