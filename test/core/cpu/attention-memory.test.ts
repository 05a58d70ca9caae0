import { afterAll, describe, expect, it } from 'vitest'
import * as T from '../../../core/index.ts'
import { functional as F } from '../../../nn/index.ts'

const HEADS = 2
const DEPTH = 16
const LENGTHS = [512, 1024, 2048, 4096]

/** Bytes of the arena of a forward and backward pass, on a device that has run nothing else. */
async function arenaOf(tokens: number, options: { isCausal: boolean; isPacked: boolean }): Promise<number> {
  await T.shutdown()
  await T.setDefaultDevice('cpu')
  const [q, k, v] = [0, 1, 2].map(() => T.zeros([1, HEADS, tokens, DEPTH]).requiresGrad_())
  // one long sequence after a short one
  const cuSeqlens = options.isPacked ? T.tensor(Int32Array.from([0, 30, tokens])) : undefined
  const loss = F.scaledDotProductAttention(q, k, v, {
    isCausal: options.isCausal,
    dropoutP: 0.1,
    cuSeqlens,
  }).sum()
  loss.backward()
  await T.evaluate(loss, q.grad!, k.grad!, v.grad!)
  return T.memory.stats().arena
}

describe('attention, forward and backward, in memory that grows with the number of tokens', () => {
  afterAll(() => T.shutdown())
  for (const isCausal of [false, true])
    for (const isPacked of [false, true])
      it(`${isCausal ? 'causal' : 'both ways'}${isPacked ? ', packed' : ''}`, async () => {
        const bytes: number[] = []
        for (const tokens of LENGTHS) bytes.push(await arenaOf(tokens, { isCausal, isPacked }))
        for (const [i, tokens] of LENGTHS.entries()) {
          // alignment aside, just as much a token
          expect(bytes[i] / tokens).toBeLessThan((1.05 * bytes[0]) / LENGTHS[0])
          expect(bytes[i] / tokens).toBeGreaterThan((0.9 * bytes[0]) / LENGTHS[0])
        }
      }, 60_000)
})
