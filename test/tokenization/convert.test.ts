import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { PbfWriter } from 'pbf'
import { describe, expect, it } from 'vitest'
import { readSentencePiece } from '../../tokenization/convert/sentencepiece-model.ts'
import { PreTrainedTokenizer } from '../../tokenization/pretrained.ts'
import { Tokenizer } from '../../tokenization/tokenizer.ts'
import { AutoTokenizer } from '../../transformers/tokenizer/auto.ts'
import { hasPython, runPython } from '../hub/python.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { goldenJson, goldenTokenizer } from './goldens.ts'

const texts = ['The quick brown fox, 12 kings!', 'naïve  café\n我能 😀', '', ' a', "it's <new> </s> [MASK] x"]

interface Json {
  model: { vocab: Record<string, number> | [string, number][]; merges?: (string | [string, string])[] }
  normalizer: { precompiled_charsmap?: string; normalizers?: { precompiled_charsmap?: string }[] } | null
}

async function read(name: string): Promise<Json> {
  return JSON.parse(await goldenJson(name)) as Json
}

/** The files of an old BERT and of an old GPT-2, from tokenizers of the goldens. */
async function oldFolders(): Promise<{ bert: string; gpt2: string }> {
  const bert = await temporaryFolder()
  const vocab = (await read('bert-cased')).model.vocab as Record<string, number>
  const tokens = Object.keys(vocab).sort((a, b) => vocab[a] - vocab[b])
  await writeFile(join(bert, 'vocab.txt'), `${tokens.join('\n')}\n`)
  await writeFile(join(bert, 'config.json'), '{"model_type": "bert"}')
  await writeFile(join(bert, 'tokenizer_config.json'), '{"do_lower_case": false}')
  const gpt2 = await temporaryFolder()
  const { model } = await read('bytelevel-gpt2')
  const merges = model.merges!.map((merge) => (typeof merge === 'string' ? merge : merge.join(' ')))
  await writeFile(join(gpt2, 'vocab.json'), JSON.stringify(model.vocab))
  await writeFile(join(gpt2, 'merges.txt'), `#version: 0.2\n${merges.join('\n')}\n`)
  await writeFile(join(gpt2, 'added_tokens.json'), `{"<new>": ${Object.keys(model.vocab).length}}`)
  await writeFile(join(gpt2, 'config.json'), '{"model_type": "gpt2"}')
  return { bert, gpt2 }
}

/** A sentencepiece model of the pieces of a Unigram tokenizer. */
async function sentencePiece(name: string): Promise<Uint8Array> {
  const { model, normalizer } = await read(name)
  const charsmap =
    normalizer?.precompiled_charsmap ??
    normalizer?.normalizers?.find((n) => n.precompiled_charsmap)?.precompiled_charsmap
  const special = new Map([
    ['<unk>', 2],
    ['<pad>', 3],
    ['[CLS]', 3],
    ['[SEP]', 3],
    ['[MASK]', 4],
  ])
  const writer = new PbfWriter()
  for (const [piece, score] of model.vocab as [string, number][]) {
    const write = (_: unknown, message: PbfWriter) => {
      message.writeStringField(1, piece)
      message.writeFloatField(2, score)
      message.writeVarintField(3, special.get(piece) ?? 1)
    }
    writer.writeMessage(1, write, null)
  }
  writer.writeMessage(
    2,
    (_: unknown, message: PbfWriter) => {
      message.writeVarintField(3, 1)
      message.writeVarintField(40, 1)
    },
    null,
  )
  const bytes = charsmap
    ? Uint8Array.from(atob(charsmap), (letter) => letter.charCodeAt(0))
    : new Uint8Array()
  writer.writeMessage(3, (_: unknown, message: PbfWriter) => message.writeBytesField(2, bytes), null)
  return writer.finish()
}

describe('tokenizers of old checkpoints', () => {
  it('WordPiece: vocab.txt', async () => {
    const { bert } = await oldFolders()
    const tokenizer = await AutoTokenizer.fromPretrained(bert)
    const golden = await goldenTokenizer('bert-cased')
    for (const text of texts) expect(tokenizer.encode(text)).toEqual(golden.encode(text).ids)
    expect(tokenizer.specialTokensMap).toMatchObject({ cls_token: '[CLS]', pad_token: '[PAD]' })
    expect(Object.keys(tokenizer('a'))).toContain('tokenTypeIds')
    expect((await Tokenizer.fromPretrained(bert)).modelType).toBe('WordPiece')
  })

  it('byte-level BPE: vocab.json, merges.txt, added_tokens.json', async () => {
    const { gpt2 } = await oldFolders()
    const tokenizer = await AutoTokenizer.fromPretrained(gpt2)
    const golden = await goldenTokenizer('bytelevel-gpt2')
    for (const text of texts.slice(0, 4)) {
      const own = tokenizer.encode(text, { addSpecialTokens: false })
      expect(own).toEqual(golden.encode(text, { addSpecialTokens: false }).ids)
      expect(tokenizer.decode(own)).toBe(text)
    }
    expect(tokenizer.convertIdsToTokens(tokenizer.encode('a <new>'))).toContain('<new>')
  })

  it('sentencepiece, Unigram: ALBERT', async () => {
    const tokenizer = await PreTrainedTokenizer.fromFiles({
      old: { sentencePiece: await sentencePiece('albert-unigram') },
      modelType: 'albert',
    })
    // The golden one splits at spaces alone.
    const golden = await goldenTokenizer('albert-unigram')
    for (const text of [texts[0], 'naïve café 我能 😀', '', ' a']) {
      const own = tokenizer.encode(text, { addSpecialTokens: false })
      expect(own).toEqual(golden.encode(text, { addSpecialTokens: false }).ids)
    }
    expect(tokenizer.convertIdsToTokens(tokenizer.encode('a'))).toEqual(['[CLS]', '▁a', '[SEP]'])
  })

  it.each([
    [{}, 'give tokenizerJson, or the files of an older tokenizer'],
    [{ old: { vocabTxt: 'a\nb' }, modelType: 'bert' }, 'vocab.txt has no token [UNK]'],
    [
      { old: { vocabJson: '{"a": -1}', mergesTxt: '' }, modelType: 'gpt2' },
      'the id of "a" is no whole number',
    ],
    [
      { old: { vocabJson: '{"a": 0}', mergesTxt: 'a b c' }, modelType: 'gpt2' },
      'merges.txt, line 1: not two tokens',
    ],
    [{ old: { vocabJson: '{}' }, modelType: 'whisper' }, "save it once with Python's AutoTokenizer"],
    [
      { old: { vocabTxt: '[UNK]' }, modelType: 'roberta' },
      'neither tokenizer.json nor vocab.json and merges.txt',
    ],
    [{ old: { sentencePiece: new Uint8Array([9, 9]) } }, '[tokenizer] '],
  ])('says what is missing or wrong (%#)', async (files, message) => {
    await expect(PreTrainedTokenizer.fromFiles(files)).rejects.toThrow(message)
  })

  it('a damaged sentencepiece model is an error or is read', async () => {
    const bytes = await sentencePiece('albert-unigram')
    const at = fc.nat(bytes.length - 1)
    fc.assert(
      fc.property(fc.array(fc.tuple(at, fc.nat(255)), { maxLength: 5 }), at, (changes, length) => {
        const damaged = bytes.slice(0, changes.length ? undefined : length)
        for (const [place, byte] of changes) damaged[place] = byte
        try {
          readSentencePiece(damaged)
        } catch (error) {
          expect((error as Error).message).toMatch(/^\[tokenizer\] [^\n]+$/)
        }
      }),
      { numRuns: 200 },
    )
    // A piece that claims to be 2^50 bytes long.
    expect(() => readSentencePiece(new Uint8Array([10, 128, 128, 128, 128, 128, 128, 128, 2]))).toThrow(
      'damaged',
    )
  })

  it.runIf(hasPython('tokenizers', 'transformers'))(
    "are those of Python's converters",
    { timeout: 120_000 },
    async () => {
      const { bert, gpt2 } = await oldFolders()
      const program = `
import json, sys
from transformers import AutoTokenizer
texts = json.loads(sys.argv[1])
out = []
for folder in sys.argv[2:]:
    t = AutoTokenizer.from_pretrained(folder)
    out.append([t(texts)["input_ids"], t(texts[0], texts[1])["input_ids"]])
print(json.dumps(out))`
      const own = []
      for (const folder of [bert, gpt2]) {
        const tokenizer = await AutoTokenizer.fromPretrained(folder)
        own.push([tokenizer(texts).inputIds, tokenizer(texts[0], { textPair: texts[1] }).inputIds])
      }
      expect(await runPython(program, JSON.stringify(texts), bert, gpt2)).toEqual(own)
    },
  )
})
