import { forEachOperand, type Kernel } from './kernel.ts'

/** A buffer that is needed from step `firstUse` to step `lastUse`, both included; never where they are -1. */
export interface ArenaRequest {
  readonly bytes: number
  readonly firstUse: number
  readonly lastUse: number
}

export interface ArenaPlacement {
  /** In bytes, one per request. */
  readonly offsets: number[]
  /** Bytes that the arena needs. */
  readonly total: number
}

/**
 * Places buffers in one region so that two which are needed at the same step never overlap.
 *
 * Greedy by size: large buffers first, each in the smallest gap that is free for its whole lifetime (Pisarchyk and Lee,
 * "Efficient Memory Management for Deep Neural Net Inference", 2020).
 */
export function placeInArena(requests: readonly ArenaRequest[], align = 64): ArenaPlacement {
  const offsets = new Array<number>(requests.length).fill(0)
  const order: number[] = []
  for (const [i, request] of requests.entries()) if (request.bytes > 0 && request.lastUse >= 0) order.push(i)
  order.sort((a, b) => requests[b].bytes - requests[a].bytes || a - b)
  // what is placed already, by offset
  const first = new Int32Array(order.length)
  const last = new Int32Array(order.length)
  const starts = new Float64Array(order.length)
  const ends = new Float64Array(order.length)
  let total = 0
  for (const [placed, index] of order.entries()) {
    const { firstUse, lastUse } = requests[index]
    const bytes = Math.ceil(requests[index].bytes / align) * align
    let best = -1
    let bestGap = Number.POSITIVE_INFINITY
    let end = 0
    for (let i = 0; i < placed; i++) {
      if (first[i] > lastUse || last[i] < firstUse) continue
      const gap = starts[i] - end
      if (gap >= bytes && gap < bestGap) {
        best = end
        bestGap = gap
      }
      if (ends[i] > end) end = ends[i]
    }
    const offset = best < 0 ? end : best
    offsets[index] = offset
    total = Math.max(total, offset + bytes)
    let at = placed
    while (at > 0 && starts[at - 1] > offset) at--
    for (const list of [first, last, starts, ends]) list.copyWithin(at + 1, at, placed)
    first[at] = firstUse
    last[at] = lastUse
    starts[at] = offset
    ends[at] = offset + bytes
  }
  return { offsets, total }
}

/** First and last step at which a kernel touches each buffer; -1 where none does. Kernel k runs at step `stepOf(k)`. */
export function lifetimesOf(
  kernels: readonly Kernel[],
  buffers: number,
  stepOf: (kernel: number) => number,
): { first: Int32Array; last: Int32Array } {
  const first = new Int32Array(buffers).fill(-1)
  const last = new Int32Array(buffers).fill(-1)
  for (let k = 0; k < kernels.length; k++) {
    const step = stepOf(k)
    forEachOperand(kernels[k], ({ buffer }) => {
      if (buffer < 0) return
      if (first[buffer] < 0 || step < first[buffer]) first[buffer] = step
      if (step > last[buffer]) last[buffer] = step
    })
  }
  return { first, last }
}
