/** Tensors larger than a binding may be: kernels run in parts. */
import { callCases, type KernelCase, loopCases } from '../../helpers/kernels.ts'
import { describeCases } from './compare.ts'

const LIMIT = 8192

/** Attention needs whole batches, rows must bind whole, and reductions of many elements run in very many parts. */
const splits = (c: KernelCase) =>
  c.contents.some(({ data }) => data.byteLength > LIMIT) &&
  !/^attention|\[1,4099\]|of many$|long row|^map of 70001/.test(c.name)

await describeCases(
  'webgpu with bindings of at most 8 KiB',
  [...loopCases(), ...callCases()].filter(splits),
  {
    limits: { maxStorageBufferBindingSize: LIMIT },
  },
)

// the numbers of dropout's random stream count batches from the first of all; a batch of 7 queries fits a binding
const batches = callCases().filter((c) => /"B":2.*"Tq":7,.*"dropout":0\.1/.test(c.name))
await describeCases('webgpu attention, one batch at a time', batches, {
  limits: { maxStorageBufferBindingSize: 2048 },
})
