import type { DeviceBuffer } from '../../backend.ts'
import { type AddressBits, MAXIMUM_PAGES } from './assembler.ts'
import { createMemory, growMemory } from './memory.ts'

const PAGE = 65536
/** Buffers start at multiples of this, so that offsets which WebGPU accepts are aligned here too. */
const ALIGN = 256
/** The memory grows by at least this much, so that small buffers do not grow it one by one. */
const GROWTH = 4 << 20

const roundUp = (bytes: number, to: number): number => Math.ceil(bytes / to) * to

/** A piece of the shared memory. */
export class CpuBuffer implements DeviceBuffer {
  readonly address: number
  readonly bytes: number

  constructor(address: number, bytes: number) {
    this.address = address
    this.bytes = bytes
  }
}

export interface HeapOptions {
  /** 32 unless given: 4 GiB at most; with 64, 16 GiB. */
  readonly addressBits?: AddressBits
  /** Lowers that limit, for tests. */
  readonly maximumPages?: number
  /** Nothing is given out below, for tests. */
  readonly firstAddress?: number
}

/**
 * An allocator over one shared `WebAssembly.Memory`: best fit, neighbours that are free are merged. The memory grows on
 * demand and never shrinks; the views below are renewed when it grows, so take them anew after every allocation.
 */
export class SharedHeap {
  readonly memory: WebAssembly.Memory
  readonly addressBits: AddressBits
  u8!: Uint8Array<SharedArrayBuffer>
  i32!: Int32Array<SharedArrayBuffer>
  u32!: Uint32Array<SharedArrayBuffer>
  f32!: Float32Array<SharedArrayBuffer>
  /** Bytes in allocated blocks, rounded up to the alignment. */
  used = 0

  /** Size of the block that starts at an address, allocated or free. */
  readonly #allocated = new Map<number, number>()
  readonly #freeByStart = new Map<number, number>()
  readonly #freeByEnd = new Map<number, number>()
  /** Start addresses of the free blocks, by size, then address. */
  readonly #freeBySize: number[] = []
  readonly #maximumPages: number

  /** `reserved` bytes at the start are never given out. */
  constructor(reserved: number, options: HeapOptions = {}) {
    this.addressBits = options.addressBits ?? 32
    const maximumPages = options.maximumPages ?? MAXIMUM_PAGES[this.addressBits]
    const start = roundUp(Math.max(reserved, options.firstAddress ?? 0), ALIGN)
    const pages = Math.ceil(start / PAGE)
    this.memory = createMemory(pages, maximumPages, this.addressBits)
    this.#maximumPages = maximumPages
    this.#refreshViews()
    if (pages * PAGE > start) this.#addFree(start, pages * PAGE - start)
  }

  get reserved(): number {
    return this.u8.length
  }

  /** The address of `bytes` bytes with undefined contents. */
  allocate(bytes: number): number {
    const size = Math.max(ALIGN, roundUp(bytes, ALIGN))
    let index = this.#firstFit(size)
    if (index === this.#freeBySize.length) {
      this.#grow(size)
      index = this.#firstFit(size)
    }
    const address = this.#freeBySize[index]
    const available = this.#freeByStart.get(address)!
    this.#removeFree(address, available)
    if (available > size) this.#addFree(address + size, available - size)
    this.#allocated.set(address, size)
    this.used += size
    return address
  }

  free(address: number): void {
    const size = this.#allocated.get(address)
    if (size === undefined) throw new Error(`[cpu] free of ${address}, which is not allocated (freed twice?)`)
    this.#allocated.delete(address)
    this.used -= size
    let start = address
    let end = address + size
    const before = this.#freeByEnd.get(start)
    if (before !== undefined) {
      this.#removeFree(before, start - before)
      start = before
    }
    const after = this.#freeByStart.get(end)
    if (after !== undefined) {
      this.#removeFree(end, after)
      end += after
    }
    this.#addFree(start, end - start)
  }

  #refreshViews(): void {
    const shared = this.memory.buffer as unknown as SharedArrayBuffer
    this.u8 = new Uint8Array(shared)
    this.i32 = new Int32Array(shared)
    this.u32 = new Uint32Array(shared)
    this.f32 = new Float32Array(shared)
  }

  #grow(size: number): void {
    const end = this.reserved
    const lastFree = this.#freeByEnd.get(end)
    const missing = size - (lastFree === undefined ? 0 : end - lastFree)
    const room = this.#maximumPages - end / PAGE
    const needed = Math.ceil(missing / PAGE)
    const wanted = Math.max(needed, Math.min(room, Math.ceil(Math.max(GROWTH, end / 8) / PAGE)))
    if (!(needed <= room && (this.#tryGrow(wanted) || this.#tryGrow(needed)))) {
      const mib = (n: number) => `${(n / 2 ** 20).toFixed(n < 2 ** 20 ? 2 : 0)} MiB`
      throw new RangeError(
        `[cpu] cannot allocate ${mib(size)}: ${mib(this.used)} are in use and the memory of the cpu device ends at ${mib(this.#maximumPages * PAGE)}. Use a smaller batch or sequence length, accumulate gradients over micro-batches, keep frozen weights in bfloat16, or free results with memory.trim()${this.addressBits === 32 ? '; or take 64-bit addresses, for up to 16 GiB: setDefaultDevice("cpu", { addressBits: 64 }) or TUNESMITH_ADDRESS_BITS=64' : ''}`,
      )
    }
    this.#refreshViews()
    const added = this.reserved - end
    if (lastFree === undefined) this.#addFree(end, added)
    else {
      this.#removeFree(lastFree, end - lastFree)
      this.#addFree(lastFree, end - lastFree + added)
    }
  }

  #tryGrow(pages: number): boolean {
    try {
      growMemory(this.memory, pages, this.addressBits)
      return true
    } catch {
      return false
    }
  }

  /** Index of the first free block, in order of size, with at least `size` bytes. */
  #firstFit(size: number, address = 0): number {
    const list = this.#freeBySize
    let low = 0
    let high = list.length
    while (low < high) {
      const middle = (low + high) >> 1
      const blockSize = this.#freeByStart.get(list[middle])!
      if (blockSize < size || (blockSize === size && list[middle] < address)) low = middle + 1
      else high = middle
    }
    return low
  }

  #addFree(start: number, size: number): void {
    this.#freeBySize.splice(this.#firstFit(size, start), 0, start)
    this.#freeByStart.set(start, size)
    this.#freeByEnd.set(start + size, start)
  }

  #removeFree(start: number, size: number): void {
    this.#freeBySize.splice(this.#firstFit(size, start), 1)
    this.#freeByStart.delete(start)
    this.#freeByEnd.delete(start + size)
  }
}
