/** The parts that the scripts in models/ are made of. */
import { describe, expect, it } from 'vitest'
import { longestCopies } from '../../models/copies.ts'
import { addresses, chapters, split } from '../../models/corpus.ts'
import { chooseIds, cutTokenizer, piecesOf, type WordPieceJson } from '../../models/encoder-cut.ts'
import { mailTexts } from '../../models/encoder-texts.ts'

describe('longestCopies', () => {
  it('finds the longest stretch of each text, whatever the white space', () => {
    const corpus = 'They saw the quick\nbrown fox jump. In the beginning was the word.'
    const texts = [
      'I saw the quick  brown fox jumped',
      'in the beginning was the wordy',
      'nothing of the kind here',
    ]
    expect(longestCopies(texts, corpus)).toEqual([
      ' saw the quick brown fox jump',
      'n the beginning was the word',
      '',
    ])
  })
})

describe('split', () => {
  it('holds whole documents out, and trains on all others', () => {
    for (const documents of [addresses(), chapters()]) {
      const { train, heldOut } = split(documents)
      expect(train.length + heldOut.length).toBe(documents.length)
      expect(heldOut.length).toBeGreaterThan(documents.length / 25)
      const known = new Set(train.map(({ text }) => text))
      expect(heldOut.filter(({ text }) => known.has(text))).toEqual([])
    }
  })

  it('keeps mails apart', () => {
    const { train, heldOut } = mailTexts()
    expect(heldOut.length).toBe(1000)
    expect(train.length).toBeGreaterThan(2000)
    const known = new Set(train.map((text) => text.slice(0, 400)))
    expect(heldOut.filter((text) => known.has(text.slice(0, 400)))).toEqual([])
  })
})

const JSON_OF_TOKENIZER: WordPieceJson = {
  truncation: { max_length: 4 },
  padding: null,
  added_tokens: [
    { id: 0, content: '[PAD]' },
    { id: 2, content: '[CLS]' },
  ],
  post_processor: { special_tokens: { '[CLS]': { ids: [2], tokens: ['[CLS]'] } } },
  model: {
    vocab: {
      '[PAD]': 0,
      '[unused0]': 1,
      '[CLS]': 2,
      a: 3,
      '##a': 4,
      the: 5,
      of: 6,
      rare: 7,
      whale: 8,
      字: 9,
    },
  },
}

describe('chooseIds', () => {
  it('keeps special tokens, letters, what texts use, and then low ids', () => {
    const counts = new Int32Array(10)
    counts[8] = 20
    expect(chooseIds(JSON_OF_TOKENIZER, counts, 7)).toEqual([0, 2, 3, 4, 5, 6, 8])
  })
})

describe('piecesOf', () => {
  it('goes by ids, numbers among the pieces or not', () => {
    const json = { ...JSON_OF_TOKENIZER, model: { vocab: { the: 0, '7': 1, of: 2 } } }
    expect(piecesOf(json)).toEqual(['the', '7', 'of'])
  })
})

describe('cutTokenizer', () => {
  it('numbers the pieces anew, special tokens and template too', () => {
    const small = cutTokenizer(JSON_OF_TOKENIZER, [0, 2, 3, 8])
    expect(small.model.vocab).toEqual({ '[PAD]': 0, '[CLS]': 1, a: 2, whale: 3 })
    expect(small.added_tokens).toEqual([
      { id: 0, content: '[PAD]' },
      { id: 1, content: '[CLS]' },
    ])
    expect(small.post_processor.special_tokens['[CLS]'].ids).toEqual([1])
    expect(small.truncation).toBeNull()
  })

  it('refuses to lose a special token', () => {
    expect(() => cutTokenizer(JSON_OF_TOKENIZER, [0, 3])).toThrow('special token 2')
  })
})
