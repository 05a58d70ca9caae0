/** Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a thread makes four words. */
import type { CallKernel } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import { type Dispatch, int, type LowerContext, slotOf } from '../dispatch.ts'
import { byRows, elementwise, flatSlice, output } from './call.ts'

export function lowerPhilox(k: CallKernel, ctx: LowerContext): Dispatch[] {
  const [out] = k.outputs
  const [key0, key1, counter0, counter1] = k.scalars.map(slotOf)
  // whole groups of sixteen elements, which four counters make
  const total = numel(out.shape)
  return byRows(Math.ceil(total / 16), 64, ctx, (start, count) => {
    const elements = Math.min(count * 16, total - start * 16)
    const y = output('y', flatSlice(out, start * 16, elements), ctx)
    return [
      elementwise({
        key: 'philox',
        label: `${k.label} ${elements}`,
        total: count * 4,
        params: {
          key0,
          key1,
          counter0,
          counter1,
          first: int(start * 4),
          n: int(elements),
          yOffset: int(y.offset),
        },
        buffers: [y.use],
        body: () => `  let low = u32(p.counter0) + u32(p.first + element);
  let high = u32(p.counter1) + select(0u, 1u, low < u32(p.counter0));
  let words = bitcast<vec4i>(philox(low, high, u32(p.key0), u32(p.key1)));
  let at = (element >> 2u) * 16 + (element & 3);
  if (at < p.n) { y[p.yOffset + at] = words.x; }
  if (at + 4 < p.n) { y[p.yOffset + at + 4] = words.y; }
  if (at + 8 < p.n) { y[p.yOffset + at + 8] = words.z; }
  if (at + 12 < p.n) { y[p.yOffset + at + 12] = words.w; }`,
      }),
    ]
  })
}
