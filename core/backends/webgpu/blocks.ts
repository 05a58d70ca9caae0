/** Device memory: GPUBuffers in size classes, kept for reuse up to a cap. */
import type { DeviceBuffer } from '../../backend.ts'

let nextId = 0

/** One GPUBuffer. `id` names it in the keys of cached bind groups. */
export class Block implements DeviceBuffer {
  readonly id = nextId++
  readonly gpu: GPUBuffer
  readonly bytes: number
  destroyed = false
  /** Number of the last run that used it; for intermediates. */
  lastRun = 0

  constructor(gpu: GPUBuffer, bytes: number) {
    this.gpu = gpu
    this.bytes = bytes
  }

  destroy(): void {
    this.destroyed = true
    this.gpu.destroy()
  }
}

/** Multiples of 256 bytes; above 4 KiB steps of an eighth of the power of two below, so that at most 1/8 is wasted. */
export function sizeClass(bytes: number): number {
  if (bytes <= 4096) return Math.max(256, Math.ceil(bytes / 256) * 256)
  const step = 2 ** (Math.floor(Math.log2(bytes - 1)) - 3)
  return Math.ceil(bytes / step) * step
}

/** Free blocks by size, the least recently freed out first when there are too many bytes. */
export class FreeBlocks {
  private readonly bySize = new Map<number, Block[]>()
  /** In the order in which they were freed. */
  private readonly order = new Set<Block>()
  private total = 0

  get bytes(): number {
    return this.total
  }

  take(bytes: number): Block | undefined {
    const block = this.bySize.get(bytes)?.pop()
    if (block) {
      this.order.delete(block)
      this.total -= block.bytes
    }
    return block
  }

  put(block: Block): void {
    const list = this.bySize.get(block.bytes)
    if (list) list.push(block)
    else this.bySize.set(block.bytes, [block])
    this.order.add(block)
    this.total += block.bytes
  }

  /** Removes the oldest until at most `cap` bytes remain; the caller destroys what it gets. */
  evict(cap: number): Block[] {
    const out: Block[] = []
    for (const block of this.order) {
      if (this.total <= cap) break
      this.order.delete(block)
      const list = this.bySize.get(block.bytes) as Block[]
      list.splice(list.indexOf(block), 1)
      if (list.length === 0) this.bySize.delete(block.bytes)
      this.total -= block.bytes
      out.push(block)
    }
    return out
  }
}

/**
 * The blocks of intermediates. Plans run one after another on the queue, so all share them; a plan takes the smallest that
 * fits each slot, and blocks that long went unused make room when lengths change.
 */
export class TempBlocks {
  private readonly blocks: Block[] = []
  private readonly create: (bytes: number) => Block
  private largestNeed = 0

  constructor(create: (bytes: number) => Block) {
    this.create = create
  }

  get bytes(): number {
    return this.blocks.reduce((sum, b) => sum + b.bytes, 0)
  }

  /** Blocks for the slots, and those to destroy in exchange. */
  acquire(slots: readonly number[], run: number): { blocks: Block[]; evicted: Block[] } {
    const taken = new Set<Block>()
    const out = new Array<Block>(slots.length)
    const order = slots.map((_, i) => i).sort((a, b) => slots[b] - slots[a])
    for (const i of order) {
      let best: Block | undefined
      for (const b of this.blocks)
        if (!taken.has(b) && b.bytes >= slots[i] && (!best || b.bytes < best.bytes)) best = b
      if (!best) {
        best = this.create(sizeClass(slots[i]))
        this.blocks.push(best)
      }
      best.lastRun = run
      taken.add(best)
      out[i] = best
    }
    const need = out.reduce((sum, b) => sum + b.bytes, 0)
    this.largestNeed = Math.max(this.largestNeed, need)
    const evicted: Block[] = []
    let surplus = this.bytes - this.largestNeed * 1.25
    if (surplus > 0) {
      const idle = this.blocks.filter((b) => !taken.has(b)).sort((a, b) => a.lastRun - b.lastRun)
      for (const b of idle) {
        if (surplus <= 0) break
        surplus -= b.bytes
        this.blocks.splice(this.blocks.indexOf(b), 1)
        evicted.push(b)
      }
    }
    return { blocks: out, evicted }
  }

  /** Takes all blocks away; the caller destroys them. */
  clear(): Block[] {
    this.largestNeed = 0
    return this.blocks.splice(0)
  }
}
