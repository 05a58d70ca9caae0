/** A buffer that is needed from step `firstUse` to step `lastUse`, both included. */
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
  const order = requests
    .map((_, i) => i)
    .filter((i) => requests[i].bytes > 0)
    .sort((a, b) => requests[b].bytes - requests[a].bytes || a - b)
  // placed requests by offset
  const placed: number[] = []
  let total = 0
  for (const index of order) {
    const { firstUse, lastUse } = requests[index]
    const bytes = Math.ceil(requests[index].bytes / align) * align
    let best = -1
    let bestGap = Number.POSITIVE_INFINITY
    let end = 0
    for (const other of placed) {
      if (requests[other].firstUse > lastUse || requests[other].lastUse < firstUse) continue
      const gap = offsets[other] - end
      if (gap >= bytes && gap < bestGap) {
        best = end
        bestGap = gap
      }
      end = Math.max(end, offsets[other] + Math.ceil(requests[other].bytes / align) * align)
    }
    const offset = best < 0 ? end : best
    offsets[index] = offset
    total = Math.max(total, offset + bytes)
    let low = 0
    let high = placed.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (offsets[placed[middle]] <= offset) low = middle + 1
      else high = middle
    }
    placed.splice(low, 0, index)
  }
  return { offsets, total }
}
