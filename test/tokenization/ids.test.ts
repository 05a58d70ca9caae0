import { describe, expect, it } from 'vitest'
import type { EncodeInput, EncodeRequest } from '../../tokenization/encode.ts'
import type { Tokenizer } from '../../tokenization/tokenizer.ts'
import { goldenTokenizer } from './goldens.ts'

const plain = { addSpecialTokens: true, overflow: false, truncation: null } satisfies Partial<EncodeRequest>

/** A tokenizer that has its faster half for ids: enough was encoded without details. */
async function prepared(name: string): Promise<Tokenizer> {
  const tokenizer = await goldenTokenizer(name)
  tokenizer.noTruncation()
  tokenizer.noPadding()
  tokenizer.encodeBatch(['a few words '.repeat(4000)], { idsOnly: true })
  return tokenizer
}

function expectSame(tokenizer: Tokenizer, inputs: EncodeInput[], request: Partial<EncodeRequest> = {}): void {
  const [ids, full] = [true, false].map((idsOnly) =>
    tokenizer
      .encodeWith(inputs, { ...plain, ...request, idsOnly })
      .map(({ ids, typeIds, attentionMask }) => [ids, typeIds, attentionMask]),
  )
  expect(ids).toEqual(full)
}

const names = ['bert-cased', 'bytelevel-gpt2', 'roberta', 'llama-prepend', 'albert-unigram', 'added-tokens']

describe('ids without details are those of the encoding with all details', () => {
  it.each(names)('%s: letters of all scripts', { timeout: 60_000 }, async (name) => {
    const tokenizer = await prepared(name)
    const letters: string[] = []
    // Every thirteenth code point, and a few that newer Unicode tables read in another way.
    for (let code = 0; code < 0x30000; code += 13) letters.push(String.fromCodePoint(code).toWellFormed())
    for (const code of [0x61d, 0x88f, 0x9fd, 0x1acf, 0x2e43, 0x32ff, 0xa7ce, 0x10940, 0x1f16c, 0x323b0])
      letters.push(String.fromCodePoint(code))
    for (let i = 0; i < letters.length; i += 500) {
      expectSame(
        tokenizer,
        letters.slice(i, i + 500).map((letter) => ({ text: `a${letter}b 1${letter}'s` })),
      )
    }
  })

  it.each(names)('%s: pairs, truncation on both sides, with and without special tokens', async (name) => {
    const tokenizer = await prepared(name)
    const texts = ['', ' ', 'The dog', " it's\n\n a  <s>long</s> text, [MASK] 123 naïve 我能 😀", '[CLS]']
    const inputs = texts.flatMap((text, i) => [{ text }, { text, pair: texts[(i + 2) % texts.length] }])
    for (const addSpecialTokens of [true, false])
      for (const truncation of [null, { maxLength: 6 }, { maxLength: 7, direction: 'left' }] as const)
        expectSame(tokenizer, inputs, { addSpecialTokens, truncation })
  })

  it('stay so when tokens are added, special tokens are split, or parts change', async () => {
    const tokenizer = await prepared('bert-cased')
    const inputs = [{ text: 'the <new> [MASK] dog' }]
    tokenizer.addTokens(['<new>'])
    expectSame(tokenizer, inputs)
    tokenizer.encodeBatch(['a few words '.repeat(4000)], { idsOnly: true })
    expectSame(tokenizer, inputs)
    expect(tokenizer.encode(inputs[0].text, { idsOnly: true }).ids).toContain(tokenizer.tokenToId('<new>'))
    tokenizer.setEncodeSpecialTokens(true)
    expectSame(tokenizer, inputs)
    tokenizer.normalizer = { type: 'Lowercase' }
    tokenizer.encodeBatch(['a few words '.repeat(4000)], { idsOnly: true })
    expectSame(tokenizer, [{ text: 'THE Dog' }])
  })

  it('refuse the same texts', async () => {
    const tokenizer = await prepared('bert-cased')
    const truncation = { maxLength: 5, strategy: 'only_second' } as const
    for (const idsOnly of [true, false]) {
      const encode = () =>
        tokenizer.encodeWith([{ text: 'a long text with words' }], { ...plain, idsOnly, truncation })
      expect(encode).toThrow('Second sequence not provided')
    }
  })
})
