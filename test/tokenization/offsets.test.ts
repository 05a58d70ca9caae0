import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import type { Tokenizer } from '../../tokenization/tokenizer.ts'
import { goldenTokenizer } from './goldens.ts'

/** Letters of one to three bytes, and emoji of two UTF-16 units. */
const mixed = fc.string({
  unit: fc.constantFrom('a', 'B', 'ß', 'é', '我', ' ', '.', '1', '😀', '👍🏽', '𝒳'),
  maxLength: 40,
})

let wordPiece: Tokenizer
let byteLevel: Tokenizer

beforeAll(async () => {
  wordPiece = await goldenTokenizer('bert-cased')
  byteLevel = await goldenTokenizer('bytelevel-gpt2')
})

describe('offsets in UTF-16 units', () => {
  it('the slice of a WordPiece token is its text', () => {
    fc.assert(
      fc.property(mixed, (text) => {
        const { tokens, offsets, specialTokensMask } = wordPiece.encode(text)
        tokens.forEach((token, i) => {
          const slice = text.slice(...offsets[i])
          if (specialTokensMask[i]) expect(slice).toBe('')
          else if (token === '[UNK]') expect(slice).not.toMatch(/^$|\s/)
          else expect(slice).toBe(token.replace('##', ''))
        })
      }),
    )
  })

  it('the slices of byte-level tokens hold whole characters and cover the text', () => {
    fc.assert(
      fc.property(mixed, (text) => {
        const { offsets } = byteLevel.encode(text)
        let end = 0
        for (const offset of offsets) {
          expect(text.slice(...offset).isWellFormed()).toBe(true)
          // A byte of a character that an earlier token began has that character's place again. Post-processing
          // trims the space in front of a word.
          expect(text.slice(end, Math.max(end, offset[0])).trim()).toBe('')
          end = Math.max(end, offset[1])
        }
        expect(text.slice(end).trim()).toBe('')
      }),
    )
  })

  it('an emoji in front moves all offsets by its length, in both texts of a pair', () => {
    fc.assert(
      fc.property(mixed, mixed, (text, pair) => {
        const [plain, moved] = ['x ', '😀 '].map((front) =>
          wordPiece.encode(front + text, { pair: front + pair }),
        )
        const shift = (sequence: number) =>
          plain.offsets
            .filter((_, i) => plain.sequenceIds[i] === sequence)
            .slice(1)
            .map(([a, b]) => [a + 1, b + 1])
        for (const sequence of [0, 1]) {
          const own = moved.offsets.filter((_, i) => moved.sequenceIds[i] === sequence).slice(1)
          expect(own).toEqual(shift(sequence))
        }
      }),
    )
  })

  it('lead from characters to tokens, words, and back', () => {
    const text = '😀 Hello wonderful world'
    const encoding = wordPiece.encode(text, { pair: 'Hello' })
    const at = text.indexOf('world')
    const token = encoding.charToToken(at)!
    expect(text.slice(...encoding.tokenToChars(token)!)).toMatch(/^w/)
    const word = encoding.charToWord(at)!
    expect(text.slice(...encoding.wordToChars(word)!)).toBe('world')
    const [first, end] = encoding.wordToTokens(word)!
    expect(encoding.tokens.slice(first, end).join('').replaceAll('##', '')).toBe('world')
    expect(encoding.tokenToSequence(encoding.charToToken(0, 1)!)).toBe(1)
    expect(encoding.tokenToChars(0)).toBeNull()
    expect(encoding.charToToken(1000)).toBeNull()
    expect(() => encoding.tokenToChars(1000)).toThrow('[Encoding] there is no token 1000')
  })
})

describe('byte-level decoding', () => {
  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
        const { ids } = byteLevel.encode(text)
        expect(byteLevel.decode(ids, { skipSpecialTokens: false })).toBe(text)
      }),
    )
  })

  it('reads lone surrogates as U+FFFD', () => {
    const { ids, offsets } = byteLevel.encode('a\ud800b')
    expect(byteLevel.decode(ids)).toBe('a\ufffdb')
    expect(offsets.at(-1)).toEqual([2, 3])
  })

  it('keeps a byte order mark', () => {
    expect(byteLevel.decode(byteLevel.encode('\ufeffa').ids)).toBe('\ufeffa')
  })
})
