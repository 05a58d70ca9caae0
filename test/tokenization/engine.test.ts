import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Decoder } from '../../tokenization/components.ts'
import { compile, loadEngine } from '../../tokenization/engine.ts'
import { Tokenizer } from '../../tokenization/tokenizer.ts'
import { goldenTokenizer } from './goldens.ts'

describe('a failure inside the library', () => {
  it('is one error, after which everything works on as it was set', async () => {
    const tokenizer = await goldenTokenizer('bert-cased')
    const other = await goldenTokenizer('bytelevel-gpt2')
    const decoder = await Decoder.fromConfig({ type: 'WordPiece', prefix: '##', cleanup: false })
    tokenizer.addTokens(['<first>'])
    tokenizer.addSpecialTokens([{ content: '<second>', lstrip: true }])
    tokenizer.enableTruncation({ maxLength: 6 })
    tokenizer.enablePadding({ length: 8 })
    const before = tokenizer.encode('a <first> b <second> and more text')
    const otherBefore = other.encode('Hello').ids

    // Room for three tokens, all of them shared with the window before: the library panics.
    const request = { addSpecialTokens: true, idsOnly: true, truncation: { maxLength: 5, stride: 3 } }
    const trap = () => tokenizer.encodeWith([{ text: 'a long text with many words' }], request)
    const { generation } = await loadEngine()
    expect(trap).toThrow(/^\[encode\] the tokenizers library failed: .*stride/)
    expect((await loadEngine()).generation).toBe(generation + 1)

    expect(tokenizer.encode('a <first> b <second> and more text').toJSON()).toEqual(before.toJSON())
    expect(other.encode('Hello').ids).toEqual(otherBefore)
    expect(decoder.decode(['he', '##llo'])).toBe('hello')
    expect(tokenizer.truncation?.maxLength).toBe(6)
    expect(tokenizer.padding?.length).toBe(8)
  })

  it('of bad input is an error without harm', async () => {
    await expect(Tokenizer.fromString('{')).rejects.toThrow('[Tokenizer] ')
    await expect(Tokenizer.fromString('{"model": 3}')).rejects.toThrow('[Tokenizer] ')
    await expect(Decoder.fromConfig({ type: 'Nonsense' })).rejects.toThrow('[Decoder] ')
    const tokenizer = await goldenTokenizer('bert-cased')
    expect(() => tokenizer.decode([-1])).toThrow('[decode] an id must be a whole number')
    expect(() => tokenizer.encode(3 as never)).toThrow('[encode] input 0 is not')
    expect(() => tokenizer.encodeBatch(['a', { text: ['b'] }])).toThrow('[encode] input 1 is not a string')
    expect(() => tokenizer.enableTruncation({ maxLength: 4, stride: 9 })).toThrow('stride')
    const training = tokenizer.trainFromIterator(['a'], { type: 'BPE', vocabSise: 3 } as never)
    await expect(training).rejects.toThrow('the trainer has no option vocab_sise')
  })
})

describe('memory', () => {
  it('is given back after a very long text', async () => {
    const tokenizer = await goldenTokenizer('bytelevel-gpt2')
    const engine = await loadEngine()
    const ids = tokenizer.encode('Lorem ipsum '.repeat(5)).ids
    const long = tokenizer.encode('Lorem ipsum '.repeat(180_000))
    expect(long.length).toBeGreaterThan(360_000)
    expect(engine.memoryBytes).toBeLessThan(64 * 2 ** 20)
    expect(tokenizer.encode('Lorem ipsum '.repeat(5)).ids).toEqual(ids)
  })

  it('does not grow with many texts, nor with tokenizers that are freed', async () => {
    const tokenizer = await goldenTokenizer('bytelevel-gpt2')
    const engine = await loadEngine()
    const batch = Array.from({ length: 2000 }, (_, i) => `Text number ${i} of a batch. `.repeat(4))
    tokenizer.encodeBatch(batch)
    const { memoryBytes, generation } = engine
    for (let i = 0; i < 5; i++) tokenizer.encodeBatch(batch)
    const json = tokenizer.toString()
    for (let i = 0; i < 50; i++) (await Tokenizer.fromString(json)).free()
    expect(engine.generation).toBe(generation)
    expect(engine.memoryBytes).toBeLessThan(memoryBytes + 8 * 2 ** 20)
  })

  it('of a freed tokenizer comes back when it is used again', async () => {
    const tokenizer = await goldenTokenizer('bert-cased')
    tokenizer.addTokens(['<mine>'])
    const { ids } = tokenizer.encode('with <mine>')
    tokenizer.free()
    expect(tokenizer.encode('with <mine>').ids).toEqual(ids)
  })
})

describe('loading the .wasm', () => {
  it.each(['application/wasm', 'application/octet-stream'])('by fetch, served as %s', async (type) => {
    const url = new URL('../../tokenization/tokenizers.wasm', import.meta.url)
    const server = createServer(async (request, response) => {
      if (request.url !== '/tokenizers.wasm') response.writeHead(404).end()
      else response.writeHead(200, { 'content-type': type }).end(await readFile(url))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void server.close())
    const { port } = server.address() as AddressInfo
    expect(String(await compile(new URL(`http://127.0.0.1:${port}/tokenizers.wasm`)))).toBe(
      '[object WebAssembly.Module]',
    )
    await expect(compile(new URL(`http://127.0.0.1:${port}/other.wasm`))).rejects.toThrow('answered 404')
  })

  it('is the file that its checksum names', async () => {
    const { createHash } = await import('node:crypto')
    const folder = new URL('../../tokenization/', import.meta.url)
    const hash = createHash('sha256').update(await readFile(new URL('tokenizers.wasm', folder)))
    expect(await readFile(new URL('tokenizers.wasm.sha256', folder), 'utf8')).toBe(
      `${hash.digest('hex')}  tokenizers.wasm\n`,
    )
  })
})
