import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TextStream } from '../../tokenization/stream.ts'
import { goldenTokenizer } from './goldens.ts'

const texts = fc.string({
  unit: fc.constantFrom('a', 'é', '我', ' ', '\n', '😀', '👩‍👩‍👧', 'The', ' end'),
  maxLength: 30,
})

describe('text from a stream of ids', () => {
  it.each(['bytelevel-gpt2', 'llama-prepend'])(
    '%s: whole characters, and in all the decoded text',
    async (name) => {
      const tokenizer = await goldenTokenizer(name)
      fc.assert(
        fc.property(texts, (text) => {
          const { ids } = tokenizer.encode(text)
          const stream = new TextStream((some) => tokenizer.decode(some))
          const pieces = ids.map((id) => stream.push(id))
          for (const piece of pieces) {
            expect(piece).not.toContain('\ufffd')
            expect(piece.isWellFormed()).toBe(true)
          }
          expect(pieces.join('') + stream.flush()).toBe(tokenizer.decode(ids))
        }),
      )
    },
  )

  it('holds an incomplete character back until flush, and can begin again', async () => {
    const tokenizer = await goldenTokenizer('bytelevel-gpt2')
    const ids = ['ð', 'Ł'].map((letter) => tokenizer.tokenToId(letter)!)
    const stream = new TextStream((some) => tokenizer.decode(some))
    expect(stream.push(ids)).toBe('')
    expect(stream.flush()).toBe('\ufffd')
    expect(stream.push(tokenizer.encode('Hi').ids) + stream.flush()).toBe('Hi')
  })
})
