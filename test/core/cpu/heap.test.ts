import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasMemory64 } from '../../../core/backends/cpu/features.ts'
import { SharedHeap } from '../../../core/backends/cpu/heap.ts'

const PAGE = 65536

describe('SharedHeap', () => {
  it('never gives out overlapping or misaligned blocks, and merges everything that is freed', () => {
    const action = fc.record({
      free: fc.boolean(),
      which: fc.nat(),
      bytes: fc.integer({ min: 0, max: 300_000 }),
    })
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const heap = new SharedHeap(1000, { maximumPages: 2048 })
        const live: { address: number; bytes: number }[] = []
        for (const a of actions) {
          if (a.free && live.length > 0) {
            const [gone] = live.splice(a.which % live.length, 1)
            heap.free(gone.address)
            continue
          }
          const address = heap.allocate(a.bytes)
          expect(address % 256).toBe(0)
          expect(address).toBeGreaterThanOrEqual(1000)
          expect(address + a.bytes).toBeLessThanOrEqual(heap.reserved)
          for (const other of live)
            expect(address + a.bytes <= other.address || other.address + other.bytes <= address).toBe(true)
          live.push({ address, bytes: a.bytes })
        }
        for (const { address } of live) heap.free(address)
        expect(heap.used).toBe(0)
        // one block again: all that is reserved, less the first 1024 bytes, fits without growing
        const reserved = heap.reserved
        heap.allocate(reserved - 1024)
        expect(heap.reserved).toBe(reserved)
      }),
      { numRuns: 60 },
    )
  })

  it('keeps contents while it grows, and its views see all of the memory', () => {
    const heap = new SharedHeap(0, { maximumPages: 1024 })
    const address = heap.allocate(4)
    heap.i32[address / 4] = 42
    const large = heap.allocate(40 * PAGE)
    heap.u8[large + 40 * PAGE - 1] = 7
    expect(heap.i32[address / 4]).toBe(42)
    expect(heap.u8[large + 40 * PAGE - 1]).toBe(7)
  })

  it('says how much is in use and what to do when the memory ends', () => {
    const heap = new SharedHeap(0, { maximumPages: 64 })
    heap.allocate(PAGE)
    expect(() => heap.allocate(64 * PAGE)).toThrow(
      /^\[cpu\] cannot allocate 4 MiB: 0\.06 MiB are in use and the memory of the cpu device ends at 4 MiB\. Use a smaller batch/,
    )
    // what is left can still be had
    heap.allocate(62 * PAGE)
  })

  it('names 64-bit addresses where they would help', () => {
    const allocate = (addressBits: 32 | 64) => () =>
      new SharedHeap(0, { maximumPages: 64, addressBits }).allocate(65 * PAGE)
    expect(allocate(32)).toThrow(/take 64-bit addresses.*\{ addressBits: 64 \}/)
    if (hasMemory64()) expect(allocate(64)).toThrow(/memory.trim\(\)$/)
  })

  it('refuses to free twice', () => {
    const heap = new SharedHeap(0, { maximumPages: 64 })
    const address = heap.allocate(10)
    heap.free(address)
    expect(() => heap.free(address)).toThrow(/freed twice/)
  })
})
