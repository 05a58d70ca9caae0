import { describe, expect, it } from 'vitest'
import { TokenizerPool } from '../../tokenization/pool.ts'
import { goldenTokenizer } from './goldens.ts'

const texts = Array.from({ length: 120 }, (_, i) =>
  `Text ${i}: naïve 😀 words, again and again. `.repeat(1 + (i % 40)),
)

describe('a pool of workers', () => {
  it('gives what the tokenizer gives, in the same order', async () => {
    const tokenizer = await goldenTokenizer('bert-cased')
    tokenizer.addTokens(['again'])
    tokenizer.enableTruncation({ maxLength: 200 })
    await using pool = new TokenizerPool(tokenizer, { workers: 2 })
    for (const idsOnly of [false, true]) {
      const encodings = await pool.encodeBatch(texts, { idsOnly })
      const own = tokenizer.encodeBatch(texts, { idsOnly })
      expect(encodings.map((e) => e.ids)).toEqual(own.map((e) => e.ids))
      if (!idsOnly) expect(encodings.map((e) => e.offsets)).toEqual(own.map((e) => e.offsets))
    }
    expect(await pool.encodeBatch([])).toEqual([])
  })

  it('pads to the longest of the whole batch', async () => {
    const tokenizer = await goldenTokenizer('bert-cased')
    tokenizer.enablePadding()
    await using pool = new TokenizerPool(tokenizer, { workers: 2 })
    const lengths = (await pool.encodeBatch(texts)).map((encoding) => encoding.length)
    expect(new Set(lengths).size).toBe(1)
  })

  it('says what is wrong with an input, and works on', async () => {
    await using pool = new TokenizerPool(await goldenTokenizer('bert-cased'))
    await expect(pool.encodeBatch(['a', 3 as never])).rejects.toThrow()
    await expect(pool.encodeBatch(['a', { text: ['b'] }])).rejects.toThrow('[encode] input 1 is not a string')
    expect((await pool.encodeBatch(['a']))[0].length).toBe(3)
  })

  it('refuses work when closed, and a number of workers that is none', async () => {
    const tokenizer = await goldenTokenizer('bert-cased')
    const pool = new TokenizerPool(tokenizer, { workers: 1 })
    const open = pool.encodeBatch(texts)
    const rejected = expect(open).rejects.toThrow('it was closed meanwhile')
    await pool.close()
    await rejected
    await expect(pool.encodeBatch(['a'])).rejects.toThrow('make another one')
    expect(() => new TokenizerPool(tokenizer, { workers: 0 })).toThrow(
      'workers must be a whole number above 0',
    )
  })
})
