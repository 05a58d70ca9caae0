/** What needs no adapter: placing intermediates, size classes, blocks. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Block, FreeBlocks, sizeClass, TempBlocks } from '../../../core/backends/webgpu/blocks.ts'
import { placeTemps } from '../../../core/backends/webgpu/temps.ts'

const lifetimes = fc.array(
  fc
    .record({ bytes: fc.integer({ min: 0, max: 1e6 }), firstUse: fc.nat(20), length: fc.nat(5) })
    .map(({ bytes, firstUse, length }) => ({ bytes, firstUse, lastUse: firstUse + length })),
  { maxLength: 30 },
)

it('temporaries that live at the same step have slots of their own, large enough', () => {
  fc.assert(
    fc.property(lifetimes, (temps) => {
      const { slots, slotOf } = placeTemps(temps)
      temps.forEach((a, i) => {
        expect(slots[slotOf[i]]).toBeGreaterThanOrEqual(a.bytes)
        temps.slice(0, i).forEach((b, j) => {
          if (a.firstUse <= b.lastUse && b.firstUse <= a.lastUse) expect(slotOf[i]).not.toBe(slotOf[j])
        })
      })
    }),
  )
})

it('a chain takes two slots', () => {
  const chain = Array.from({ length: 50 }, (_, i) => ({ bytes: 4000, firstUse: i, lastUse: i + 1 }))
  expect(placeTemps(chain).slots).toHaveLength(2)
})

it('size classes waste an eighth at most and are their own class', () => {
  fc.assert(
    fc.property(fc.integer({ min: 4097, max: 2 ** 31 }), (n) => {
      const size = sizeClass(n)
      expect(size).toBeGreaterThanOrEqual(n)
      expect(size).toBeLessThanOrEqual(n * 1.126)
      expect(size % 256).toBe(0)
      expect(sizeClass(size)).toBe(size)
    }),
  )
  expect([0, 1, 256, 257, 4096].map(sizeClass)).toEqual([256, 256, 256, 512, 4096])
})

const block = (bytes: number) => new Block({ destroy: () => undefined } as GPUBuffer, bytes)

it('free blocks leave oldest first', () => {
  const free = new FreeBlocks()
  const blocks = [block(256), block(512), block(256)]
  for (const b of blocks) free.put(b)
  expect(free.take(1024)).toBeUndefined()
  expect(free.evict(700)).toEqual([blocks[0], blocks[1]])
  expect(free.take(256)).toBe(blocks[2])
  expect(free.bytes).toBe(0)
})

it('plans share blocks of intermediates, and unused ones go when a larger plan came', () => {
  const temps = new TempBlocks(block)
  const small = temps.acquire([5000, 3000], 1)
  expect(temps.acquire([4500, 2900], 2).blocks).toEqual(small.blocks)
  const large = temps.acquire([9000, 8000], 3)
  expect(large.evicted).toEqual(expect.arrayContaining([small.blocks[0]]))
  expect(temps.bytes).toBeLessThanOrEqual((sizeClass(9000) + sizeClass(8000)) * 1.25)
})
