import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  chunkIntoBlocks,
  makeBatches,
  pack,
  packValues,
  padBatch,
  padValues,
  sampleIndices,
} from '../../data/index.ts'

describe('sampleIndices', () => {
  test('is a permutation that seed and epoch decide', () => {
    const order = sampleIndices(1000, { seed: 7 })
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
    expect(sampleIndices(1000, { seed: 7 })).toEqual(order)
    expect(sampleIndices(1000, { seed: 7, epoch: 1 })).not.toEqual(order)
    expect(sampleIndices(1000, { seed: 8 })).not.toEqual(order)
    expect(sampleIndices(1000, { seed: 7 + 2 ** 32 })).not.toEqual(order)
    expect(sampleIndices(4, { shuffle: false })).toEqual(Int32Array.of(0, 1, 2, 3))
  })

  test('never changes, so that a run can be resumed with a later version', () => {
    expect([...sampleIndices(10, { seed: 42, epoch: 3 })]).toMatchInlineSnapshot(`
      [
        1,
        0,
        8,
        4,
        2,
        6,
        7,
        5,
        9,
        3,
      ]
    `)
  })

  test('every order is equally likely', () => {
    const counts = new Map<string, number>()
    for (let seed = 0; seed < 24_000; seed++) {
      const order = sampleIndices(4, { seed }).join('')
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    expect(counts.size).toBe(24)
    const chiSquared = [...counts.values()].reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
    expect(chiSquared).toBeLessThan(49.7) // 23 degrees of freedom, p = 0.001
  })

  test('ranks share the order evenly', () => {
    fc.assert(
      fc.property(
        fc.nat(50),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(),
        fc.boolean(),
        (length, worldSize, seed, dropLast) => {
          const whole = [...sampleIndices(length, { seed })]
          const shares = Array.from({ length: worldSize }, (_, rank) => [
            ...sampleIndices(length, { seed, rank, worldSize, dropLast }),
          ])
          const size = dropLast ? Math.floor(length / worldSize) : Math.ceil(length / worldSize)
          expect(shares.every((share) => share.length === size)).toBe(true)
          const dealt = Array.from(
            { length: size * worldSize },
            (_, i) => shares[i % worldSize][Math.floor(i / worldSize)],
          )
          expect(dealt.slice(0, length)).toEqual(whole.slice(0, dealt.length))
          expect(dealt.slice(length)).toEqual(dealt.slice(length).map((_, i) => whole[i % length]))
        },
      ),
    )
  })

  test.each([{ rank: 2, worldSize: 2 }, { seed: -1 }, { epoch: 0.5 }, { worldSize: 0 }])(
    'refuses %j',
    (options) => {
      expect(() => sampleIndices(10, options)).toThrow(RangeError)
    },
  )
})

describe('makeBatches', () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 40 }), { maxLength: 300 })
  const limits = fc.record({
    batchSize: fc.option(fc.integer({ min: 1, max: 12 }), { nil: undefined }),
    maxTokensPerBatch: fc.integer({ min: 40, max: 200 }),
    padded: fc.boolean(),
  })

  test('keeps every limit and the order, and stops a batch only where it must', () => {
    fc.assert(
      fc.property(lengths, limits, (lengths, limits) => {
        const { batchSize = Number.POSITIVE_INFINITY, maxTokensPerBatch, padded } = limits
        const batches = makeBatches(lengths, limits)
        const tokens = (batch: number[]) => {
          const of = batch.map((i) => lengths[i])
          return padded ? of.length * Math.max(...of) : of.reduce((a, b) => a + b, 0)
        }
        expect(batches.flat()).toEqual(lengths.map((_, i) => i))
        for (const [i, batch] of batches.entries()) {
          expect(batch.length).toBeGreaterThan(0)
          expect(batch.length).toBeLessThanOrEqual(batchSize)
          expect(tokens(batch)).toBeLessThanOrEqual(maxTokensPerBatch)
          const next = batches[i + 1]?.[0]
          if (next !== undefined)
            expect(batch.length === batchSize || tokens([...batch, next]) > maxTokensPerBatch).toBe(true)
        }
      }),
    )
  })

  test('grouped by length: the same texts, the same limits, less padding', () => {
    const waste = (lengths: number[], batches: number[][]) =>
      batches.reduce((sum, batch) => sum + batch.length * Math.max(...batch.map((i) => lengths[i])), 0)
    fc.assert(
      fc.property(lengths, limits, fc.nat(), (lengths, limits, seed) => {
        const options = { ...limits, padded: true, groupByLength: true, seed }
        const batches = makeBatches(lengths, options)
        expect(batches.flat().sort((a, b) => a - b)).toEqual(lengths.map((_, i) => i))
        for (const batch of batches) {
          expect(waste(lengths, [batch])).toBeLessThanOrEqual(limits.maxTokensPerBatch)
          expect(batch.length).toBeLessThanOrEqual(limits.batchSize ?? Number.POSITIVE_INFINITY)
        }
        expect(makeBatches(lengths, options)).toEqual(batches)
      }),
    )
    const long = Array.from({ length: 5000 }, (_, i) => 1 + ((i * 7919) % 97))
    const real = long.reduce((a, b) => a + b, 0)
    const plain = waste(long, makeBatches(long, { batchSize: 16 }))
    const grouped = waste(long, makeBatches(long, { batchSize: 16, groupByLength: true }))
    expect(grouped / real).toBeLessThan(1.05)
    expect(plain / real).toBeGreaterThan(1.5)
  })

  test('grouped batches come in an order of the seed, not of length', () => {
    const lengths = Array.from({ length: 640 }, (_, i) => i)
    const first = (seed: number) =>
      makeBatches(lengths, { batchSize: 16, groupByLength: true, seed }).map(([i]) => i)
    expect(first(1)).not.toEqual(first(2))
    expect(first(1)).not.toEqual([...first(1)].sort((a, b) => b - a))
  })

  test('goes through a given order, and drops a last batch that is not full', () => {
    const options = { batchSize: 2, order: Int32Array.of(4, 2, 0) }
    expect(makeBatches([1, 1, 1, 1, 1], options)).toEqual([[4, 2], [0]])
    expect(makeBatches([1, 1, 1, 1, 1], { ...options, dropLast: true })).toEqual([[4, 2]])
  })

  test.each([
    [{}, 'give batchSize, maxTokensPerBatch or both'],
    [{ batchSize: 0 }, 'batchSize 0 must be'],
    [{ maxTokensPerBatch: 1.5 }, 'maxTokensPerBatch 1.5 must be'],
    [{ maxTokensPerBatch: 5, dropLast: true }, 'dropLast needs batchSize'],
    [{ maxTokensPerBatch: 5 }, 'text 1 has 6 tokens, over maxTokensPerBatch 5'],
    [{ batchSize: 1, order: [2] }, 'index 2 is outside'],
  ])('refuses %j', (options, message) => {
    expect(() => makeBatches([3, 6], options)).toThrow(message)
  })
})

describe('pack and padBatch', () => {
  const ids = fc.integer({ min: 0, max: 50_000 })
  const texts = fc.array(fc.array(ids, { minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: 10 })

  test('a packed row holds every text whole, its positions from 0', () => {
    fc.assert(
      fc.property(texts, (texts) => {
        const { inputIds, positionIds, cuSeqlens, maxSeqlen } = pack(texts)
        expect(cuSeqlens).toHaveLength(texts.length + 1)
        expect(inputIds).toHaveLength(cuSeqlens.at(-1)!)
        for (const [i, text] of texts.entries()) {
          const range = [cuSeqlens[i], cuSeqlens[i + 1]] as const
          expect([...inputIds.subarray(...range)]).toEqual(text)
          expect([...positionIds.subarray(...range)]).toEqual(text.map((_, at) => at))
        }
        expect(maxSeqlen).toBe(Math.max(...texts.map(({ length }) => length)))
        expect(packValues(texts, cuSeqlens)).toEqual(inputIds)
      }),
    )
  })

  test('a padded batch gives every text back under its mask', () => {
    fc.assert(
      fc.property(texts, fc.constantFrom('left', 'right'), fc.nat(5), (texts, paddingSide, extra) => {
        const longest = Math.max(...texts.map(({ length }) => length))
        const options = { padTokenId: 60_000, paddingSide, length: longest + extra }
        const { inputIds, attentionMask, shape } = padBatch(texts, options)
        expect(shape).toEqual([texts.length, longest + extra])
        for (const [i, text] of texts.entries()) {
          const row = [...inputIds.subarray(i * shape[1], (i + 1) * shape[1])]
          const mask = [...attentionMask.subarray(i * shape[1], (i + 1) * shape[1])]
          const padding = Array<number>(shape[1] - text.length).fill(60_000)
          expect(row).toEqual(paddingSide === 'left' ? [...padding, ...text] : [...text, ...padding])
          expect(mask).toEqual(row.map((id) => (id === 60_000 ? 0 : 1)))
        }
      }),
    )
    expect(padBatch([[1], [2, 3]], { padTokenId: 0 }).inputIds).toEqual(Int32Array.of(1, 0, 2, 3))
  })

  test('what cannot be packed or padded is refused', () => {
    expect(() => pack([])).toThrow('nothing to pack')
    expect(() => pack([[1], []])).toThrow('text 1 has no tokens')
    expect(() => pack([[1, 2, 3]], { maxLength: 2 })).toThrow('text 0 has 3 tokens, over maxLength 2')
    expect(() => packValues([[1]], Int32Array.of(0, 2))).toThrow('text 0 has 1 values for 2 tokens')
    expect(() => packValues([[1], [1]], Int32Array.of(0, 1))).toThrow('2 texts, cuSeqlens has 1')
    expect(() => padBatch([], { padTokenId: 0 })).toThrow('nothing to pad')
    expect(() => padBatch([[1, 2]], { padTokenId: 0, length: 1 })).toThrow(
      'a text has 2 tokens, over length 1',
    )
    expect(() => padValues([[1, 2]], { value: -100, paddingSide: 'left', length: 1 })).toThrow(
      'over length 1',
    )
  })
})

describe('chunkIntoBlocks', () => {
  const collect = async (...args: Parameters<typeof chunkIntoBlocks>) => {
    const blocks: number[][] = []
    for await (const block of chunkIntoBlocks(...args)) blocks.push([...block])
    return blocks
  }

  test('joins texts with a separator and cuts them', async () => {
    const texts = [[1, 2], [3], [4, 5, 6, 7]]
    expect(await collect(texts, { blockSize: 4, separatorId: 0 })).toEqual([
      [1, 2, 0, 3],
      [0, 4, 5, 6],
    ])
    expect(await collect(texts, { blockSize: 4, separatorId: 0, remainder: 'keep' })).toEqual([
      [1, 2, 0, 3],
      [0, 4, 5, 6],
      [7, 0],
    ])
  })

  test('loses nothing but the remainder, whatever the texts come as', async () => {
    const texts = fc.array(fc.array(fc.nat(1000)))
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 2, max: 20 }), async (texts, blockSize) => {
        const stream = texts.flat()
        const whole = Math.floor(stream.length / blockSize) * blockSize
        const blocks = await collect(texts, { blockSize })
        expect(blocks.every(({ length }) => length === blockSize)).toBe(true)
        expect(blocks.flat()).toEqual(stream.slice(0, whole))
        const source = (async function* () {
          yield* texts
        })()
        const rest = stream.length - whole
        const kept = rest > 1 ? stream : stream.slice(0, whole) // one token alone predicts nothing
        expect((await collect(source, { blockSize, remainder: 'keep' })).flat()).toEqual(kept)
      }),
    )
  })

  test('refuses a block of one token', async () => {
    await expect(collect([[1]], { blockSize: 1 })).rejects.toThrow('blockSize 1 must be')
  })
})
