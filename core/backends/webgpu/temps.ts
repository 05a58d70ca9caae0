/** Placement of intermediates: separate buffers, since one may not be bound for reading and for writing at once. */

/** Something that lives from step `firstUse` to step `lastUse`, both inclusive. */
export interface Lifetime {
  readonly bytes: number
  readonly firstUse: number
  readonly lastUse: number
}

export interface TempPlacement {
  /** Bytes of each slot: a buffer of its own. */
  readonly slots: readonly number[]
  /** Slot of each temp. */
  readonly slotOf: readonly number[]
}

/**
 * Gives temps to slots so that no two that live at the same step share one. Greedy in order of first use: the free slot
 * that wastes least, else the largest free one grown, else a new one.
 */
export function placeTemps(temps: readonly Lifetime[]): TempPlacement {
  const slots: number[] = []
  const busyUntil: number[] = []
  const slotOf = new Array<number>(temps.length)
  const order = temps.map((_, i) => i).sort((a, b) => temps[a].firstUse - temps[b].firstUse || a - b)
  for (const i of order) {
    const { bytes, firstUse, lastUse } = temps[i]
    let fit = -1
    let largest = -1
    for (let s = 0; s < slots.length; s++) {
      if (busyUntil[s] >= firstUse) continue
      if (slots[s] >= bytes && (fit < 0 || slots[s] < slots[fit])) fit = s
      if (largest < 0 || slots[s] > slots[largest]) largest = s
    }
    // a small temp in a huge slot would keep that from a large one
    const chosen = fit >= 0 && slots[fit] <= 8 * Math.max(bytes, 4096) ? fit : fit >= 0 ? -1 : largest
    if (chosen < 0) {
      slotOf[i] = slots.length
      slots.push(bytes)
      busyUntil.push(lastUse)
    } else {
      slotOf[i] = chosen
      slots[chosen] = Math.max(slots[chosen], bytes)
      busyUntil[chosen] = lastUse
    }
  }
  return { slots, slotOf }
}
