import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ArenaRequest, placeInArena } from '../../../core/plan/arena.ts'

const request = fc
  .record({
    bytes: fc.integer({ min: 0, max: 5000 }),
    firstUse: fc.integer({ min: 0, max: 20 }),
    length: fc.integer({ min: 0, max: 20 }),
  })
  .map(({ bytes, firstUse, length }): ArenaRequest => ({ bytes, firstUse, lastUse: firstUse + length }))

const padded = (bytes: number) => Math.ceil(bytes / 64) * 64

describe('placeInArena', () => {
  it('never lets live buffers overlap, aligns them, and stays within the total', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const { offsets, total } = placeInArena(requests)
        for (const [i, a] of requests.entries()) {
          expect(offsets[i] % 64).toBe(0)
          expect(offsets[i] + a.bytes).toBeLessThanOrEqual(total)
          for (const [j, b] of requests.entries()) {
            const isTogether = i < j && a.firstUse <= b.lastUse && b.firstUse <= a.lastUse
            if (!isTogether || a.bytes === 0 || b.bytes === 0) continue
            expect(offsets[i] + a.bytes <= offsets[j] || offsets[j] + b.bytes <= offsets[i]).toBe(true)
          }
        }
      }),
    )
  })

  it('needs no less than what lives at one step, and no more than everything side by side', () => {
    fc.assert(
      fc.property(fc.array(request, { maxLength: 40 }), (requests) => {
        const { total } = placeInArena(requests)
        let peak = 0
        for (let step = 0; step <= 40; step++) {
          const live = requests.filter((r) => r.firstUse <= step && step <= r.lastUse)
          peak = Math.max(
            peak,
            live.reduce((sum, r) => sum + padded(r.bytes), 0),
          )
        }
        expect(total).toBeGreaterThanOrEqual(peak)
        expect(total).toBeLessThanOrEqual(requests.reduce((sum, r) => sum + padded(r.bytes), 0))
      }),
    )
  })

  it('reuses memory along a chain: two buffers are alive at a time', () => {
    const chain = Array.from({ length: 50 }, (_, i) => ({ bytes: 1024, firstUse: i, lastUse: i + 1 }))
    expect(placeInArena(chain).total).toBe(2048)
  })

  it('places a small buffer in the gap between large ones', () => {
    const { offsets, total } = placeInArena([
      { bytes: 4096, firstUse: 0, lastUse: 9 },
      { bytes: 2048, firstUse: 0, lastUse: 3 },
      { bytes: 1024, firstUse: 0, lastUse: 9 },
      { bytes: 512, firstUse: 4, lastUse: 9 },
    ])
    expect(total).toBe(4096 + 2048 + 1024)
    expect(offsets[3]).toBe(4096)
  })
})
