import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  decoders,
  models,
  Normalizer,
  normalizers,
  PreTokenizer,
  postProcessors,
  preTokenizers,
  Regex,
  Tokenizer,
  trainers,
} from '../../tokenization/index.ts'
import { hasPython, runPython } from '../hub/python.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

const corpus = [
  'The quick brown fox jumps over the lazy dog.',
  'The dog sleeps; the fox runs away from the hungry wolves.',
  'naïve cafés, naïve foxes: 12 wolves and 34 dogs, 😀 again and again.',
]

const kinds = {
  BPE: {
    model: models.BPE({ unkToken: '[UNK]' }),
    parts: { normalizer: normalizers.NFKC(), preTokenizer: preTokenizers.Whitespace() },
    trainer: trainers.BpeTrainer({ vocabSize: 120, specialTokens: ['[UNK]', '[CLS]', '[SEP]'] }),
  },
  'byte-level BPE': {
    model: models.BPE(),
    parts: {
      preTokenizer: preTokenizers.ByteLevel({ addPrefixSpace: false }),
      decoder: decoders.ByteLevel(),
    },
    trainer: trainers.BpeTrainer({ vocabSize: 120, specialTokens: ['[CLS]', '[SEP]'] }),
  },
  WordPiece: {
    model: models.WordPiece(),
    parts: {
      normalizer: normalizers.BertNormalizer({ lowercase: true }),
      preTokenizer: preTokenizers.BertPreTokenizer(),
      decoder: decoders.WordPiece(),
    },
    trainer: trainers.WordPieceTrainer({ vocabSize: 120, specialTokens: ['[UNK]', '[CLS]', '[SEP]'] }),
  },
  WordLevel: {
    model: models.WordLevel({ unkToken: '[UNK]' }),
    parts: { preTokenizer: preTokenizers.WhitespaceSplit() },
    trainer: trainers.WordLevelTrainer({ vocabSize: 60, specialTokens: ['[UNK]', '[CLS]', '[SEP]'] }),
  },
  Unigram: {
    model: models.Unigram(),
    parts: { preTokenizer: preTokenizers.Metaspace(), decoder: decoders.Metaspace() },
    trainer: trainers.UnigramTrainer({
      vocabSize: 60,
      unkToken: '<unk>',
      specialTokens: ['<unk>', '[CLS]', '[SEP]'],
    }),
  },
}

async function trained(kind: keyof typeof kinds): Promise<Tokenizer> {
  const { model, parts, trainer } = kinds[kind]
  const tokenizer = await Tokenizer.fromModel(model, parts)
  await tokenizer.trainFromIterator(corpus, trainer)
  const id = (token: string) => tokenizer.tokenToId(token)!
  tokenizer.postProcessor = postProcessors.TemplateProcessing({
    single: '[CLS] $A [SEP]',
    pair: '[CLS] $A [SEP] $B:1 [SEP]:1',
    specialTokens: [
      ['[CLS]', id('[CLS]')],
      ['[SEP]', id('[SEP]')],
    ],
  })
  return tokenizer
}

describe('a tokenizer from options', () => {
  it.each(Object.keys(kinds) as (keyof typeof kinds)[])(
    '%s: trained twice alike, with a template',
    async (kind) => {
      const tokenizer = await trained(kind)
      expect((await trained(kind)).toString()).toBe(tokenizer.toString())
      const { tokens, typeIds } = tokenizer.encode('The dog', { pair: 'the fox' })
      expect([tokens[0], tokens.at(-1), typeIds.at(-1)]).toEqual(['[CLS]', '[SEP]', 1])
      expect(
        tokenizer.decode(tokenizer.encode('The dog', { addSpecialTokens: false }).ids).toLowerCase(),
      ).toContain('dog')
    },
  )

  it.runIf(hasPython('tokenizers'))('is read by Python, which encodes the same', async () => {
    const folder = await temporaryFolder()
    const texts = [...corpus, 'unseen wörds 我能 😀', '']
    for (const kind of Object.keys(kinds) as (keyof typeof kinds)[]) {
      const tokenizer = await trained(kind)
      const path = join(folder, 'tokenizer.json')
      await tokenizer.save(path)
      const program = `
import json, sys
from tokenizers import Tokenizer
t = Tokenizer.from_file(sys.argv[1])
texts = json.loads(sys.argv[2])
print(json.dumps([[e.ids, e.tokens, e.type_ids, t.decode(e.ids)] for e in t.encode_batch(texts)]))`
      const own = tokenizer.encodeBatch(texts)
      expect(await runPython(program, path, JSON.stringify(texts))).toEqual(
        own.map((e) => [e.ids, e.tokens, e.typeIds, tokenizer.decode(e.ids)]),
      )
    }
  })

  it('takes texts of files, lists and streams', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'corpus.txt')
    await writeFile(path, corpus.join('\n'))
    const stream = async function* () {
      yield* corpus
    }
    const { model, parts, trainer } = kinds.WordLevel
    const make = () => Tokenizer.fromModel(model, parts)
    const [files, lists, streamed, plain] = await Promise.all([make(), make(), make(), make()])
    await files.train([path], trainer)
    await lists.trainFromIterator([corpus], trainer)
    await streamed.trainFromIterator(stream(), trainer)
    await plain.trainFromIterator(corpus, trainer)
    for (const other of [files, lists, streamed]) expect(other.getVocab()).toEqual(plain.getVocab())
  })

  it('changes its parts, and keeps them where a new one is wrong', async () => {
    const tokenizer = await trained('WordPiece')
    tokenizer.normalizer = null
    expect(tokenizer.encode('THE', { addSpecialTokens: false }).tokens).not.toEqual(['the'])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.Lowercase()])
    expect(tokenizer.encode('THE', { addSpecialTokens: false }).tokens).toEqual(['the'])
    expect(() => {
      tokenizer.preTokenizer = { type: 'Nonsense' }
    }).toThrow('[preTokenizer]')
    expect(tokenizer.preTokenizer).toEqual({ type: 'BertPreTokenizer' })
    expect(tokenizer.encode('THE', { addSpecialTokens: false }).tokens).toEqual(['the'])
    expect(tokenizer.model.type).toBe('WordPiece')
  })

  it.each([
    [() => models.BPE({ unk: '' } as never), '[BPE] there is no option unk'],
    [() => preTokenizers.Split(' ', 'gone' as never), '[Split] behavior is removed, isolated'],
    [() => normalizers.Replace(/a/i, 'b'), 'the flags i of /a/i are not known'],
    [() => postProcessors.TemplateProcessing({ single: '[X] $A' }), '"[X]" needs its id'],
  ])('refuses with one clear line (%#)', (make, message) => {
    expect(make).toThrow(message)
  })

  it('refuses unknown parts', async () => {
    const making = Tokenizer.fromModel(models.BPE(), { preTokeniser: null } as never)
    await expect(making).rejects.toThrow('there is no part preTokeniser: it has model, normalizer')
  })
})

describe('single parts', () => {
  it('take patterns as texts, regular expressions of JavaScript, and of the library', async () => {
    const pieces = async (config: ReturnType<typeof preTokenizers.Split>) =>
      (await PreTokenizer.fromConfig(config)).preTokenize('a1b22.c').map(({ text }) => text)
    expect(await pieces(preTokenizers.Split(/\d+/, 'removed'))).toEqual(['a', 'b', '.c'])
    expect(await pieces(preTokenizers.Split(Regex('\\d+'), 'merged_with_previous'))).toEqual([
      'a1',
      'b22',
      '.c',
    ])
    expect(await pieces(preTokenizers.Split('.', 'isolated'))).toEqual(['a1b22', '.', 'c'])
    expect(await pieces(preTokenizers.Split(/\u0031|[\u{32}]/u, 'isolated'))).toEqual([
      'a',
      '1',
      'b',
      '2',
      '2',
      '.c',
    ])
    const strip = await Normalizer.fromConfig(normalizers.Strip({ right: false }))
    expect(strip.normalize('  a ')).toBe('a ')
  })
})
