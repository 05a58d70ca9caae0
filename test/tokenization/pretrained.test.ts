import { readdir, readFile } from 'node:fs/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { PreTrainedTokenizer } from '../../tokenization/pretrained.ts'
import { hasPython, runPython } from '../hub/python.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { goldenJson } from './goldens.ts'

const bertConfig = {
  tokenizer_class: 'BertTokenizer',
  model_max_length: 12,
  unk_token: '[UNK]',
  sep_token: '[SEP]',
  pad_token: '[PAD]',
  cls_token: '[CLS]',
  mask_token: { content: '[MASK]', lstrip: true },
  clean_up_tokenization_spaces: true,
}

let bert: PreTrainedTokenizer
let gpt: PreTrainedTokenizer

beforeAll(async () => {
  bert = await makeBert()
  gpt = await makeGpt()
})

async function makeBert() {
  return PreTrainedTokenizer.fromFiles({
    tokenizerJson: await goldenJson('bert-cased'),
    tokenizerConfig: bertConfig,
  })
}

async function makeGpt() {
  return PreTrainedTokenizer.fromFiles({
    tokenizerJson: await goldenJson('bytelevel-gpt2'),
    tokenizerConfig: { eos_token: '<|endoftext|>', bos_token: '<|endoftext|>' },
  })
}

describe('calling a tokenizer', () => {
  it('gives the fields that the model takes', () => {
    expect(Object.keys(bert('A text'))).toEqual(['inputIds', 'tokenTypeIds', 'attentionMask'])
    expect(Object.keys(gpt('A text'))).toEqual(['inputIds', 'attentionMask'])
  })

  it('spreads into those fields alone', () => {
    const { inputIds, ...rest } = { ...bert('A text', { returnTokenTypeIds: false, returnLength: true }) }
    expect(rest).toEqual({ attentionMask: inputIds.map(() => 1), length: inputIds.length })
  })

  it('pads words, tokens and places along with the ids', () => {
    const batch = bert(['The dog', 'The dog and the fox'], { padding: true, paddingSide: 'left' })
    const [short, long] = batch.inputIds
    expect(short.length).toBe(long.length)
    expect(batch.tokens(0).length).toBe(long.length)
    expect(batch.tokens(0)[0]).toBe('[PAD]')
    const token = batch.charToToken(0, 4)!
    expect(batch.wordIds(0)[token]).toBe(1)
    expect('The dog'.slice(...batch.tokenToChars(0, token)!)).toMatch(/^d/)
    expect(batch.wordIds(0).slice(0, 2)).toEqual([null, null])
    expect(() => batch.tokens(2)).toThrow('[BatchEncoding] there is no row 2: the batch has 2')
  })

  it('truncates to what the model takes, and says where windows come from', () => {
    const text = 'The quick brown fox jumps over the lazy dog and runs away.'
    expect(bert(text, { truncation: true }).inputIds.length).toBe(12)
    const windows = bert(['Hi', text], { truncation: true, stride: 2, returnOverflowingTokens: true })
    expect(windows.overflowToSampleMapping?.slice(0, 3)).toEqual([0, 1, 1])
    expect(windows.tokens(2).slice(1, 3)).toEqual(windows.tokens(1).slice(-3, -1))
  })

  it('leaves the settings of tokenizer.json out, and as they are', async () => {
    const tokenizer = await PreTrainedTokenizer.fromFiles({
      tokenizerJson: await goldenJson('padding-truncation'),
    })
    const long = 'The quick brown fox jumps over the lazy dog and runs away from 12 hungry wolves.'
    const own = tokenizer.backend.encode(long).ids
    expect(tokenizer(long).inputIds.length).toBeGreaterThan(own.length)
    expect(tokenizer(long, { maxLength: 5 }).inputIds.length).toBe(5)
    expect(tokenizer.backend.encode(long).ids).toEqual(own)
    expect(tokenizer.paddingSide).toBe('left')
    expect(tokenizer.padToken).toBe('[PAD]')
  })

  it('splits special tokens that occur in a text when told so', () => {
    const id = bert.maskTokenId!
    expect(bert('a [MASK] b').inputIds).toContain(id)
    expect(bert('a [MASK] b', { splitSpecialTokens: true }).inputIds).not.toContain(id)
    expect(bert('a [MASK] b').inputIds).toContain(id)
  })

  it('takes an empty batch', () => {
    expect(bert([], { padding: true }).inputIds).toEqual([])
  })

  it.each([
    [() => bert('a', { max_length: 3 } as never), 'there is no option max_length: did you mean maxLength?'],
    [() => bert('a', { returnTensors: true } as never), 'tensors come from the AutoTokenizer'],
    [() => bert('a', { padding: 'longst' as never }), "padding is true, false, 'longest'"],
    [() => bert('a', { truncation: 'first' as never }), "truncation is true, false, 'longest_first'"],
    [() => bert(['a', 'b'], { textPair: ['c'] }), 'for each of the 2 texts of the batch: it is 1 texts'],
    [
      () => bert(['a'], { padding: true, truncation: true, maxLength: 9, padToMultipleOf: 4 }),
      'multiple of 4',
    ],
    [() => bert(null as never), 'the text is a string, or an array for a batch, not null'],
    [() => bert('a', { truncation: true, maxLength: 4, stride: 9 }), 'stride'],
    [() => gpt(['a'], { padding: true }), 'tokenizer.padToken = tokenizer.eosToken'],
    [() => gpt.applyChatTemplate([{ role: 'user', content: 'Hi' }]), 'the tokenizer has no chat template'],
  ])('refuses with one clear line (%#)', (call, message) => {
    expect(call).toThrow(message)
  })
})

describe('special tokens', () => {
  it('are found by their roles', () => {
    expect(bert.clsToken).toBe('[CLS]')
    expect(bert.clsTokenId).toBe(bert.convertTokensToIds('[CLS]'))
    expect(bert.bosToken).toBeNull()
    expect(bert.bosTokenId).toBeNull()
    expect(bert.allSpecialTokens).toEqual(['[UNK]', '[SEP]', '[PAD]', '[CLS]', '[MASK]'])
    expect(bert.convertTokensToIds(['nonsense-token', '[SEP]'])).toEqual([bert.unkTokenId, bert.sepTokenId])
    expect(bert.convertIdsToTokens([bert.sepTokenId!, 1_000_000])).toEqual(['[SEP]', null])
  })

  it('can be given to other tokens, and added', async () => {
    const tokenizer = await makeGpt()
    tokenizer.padToken = tokenizer.eosToken
    expect(tokenizer(['a', 'a long text'], { padding: true }).inputIds[0].at(-1)).toBe(tokenizer.eosTokenId)
    expect(() => {
      tokenizer.maskToken = '<mask>'
    }).toThrow('addSpecialTokens({ maskToken: "<mask>" }) adds it')
    const size = tokenizer.length
    expect(tokenizer.addSpecialTokens({ maskToken: '<mask>', additionalSpecialTokens: ['<a>'] })).toBe(2)
    expect(tokenizer.length).toBe(size + 2)
    expect(tokenizer.maskTokenId).toBe(size)
    const ids = tokenizer.encode('x <mask> <a>')
    expect(tokenizer.decode(ids, { skipSpecialTokens: true }).trim()).toBe('x')
  })
})

describe('decoding', () => {
  it('cleans spaces up where the configuration says so, but never for BPE', () => {
    const ids = bert.encode('It is , so .', { addSpecialTokens: false })
    expect(bert.decode(ids)).not.toContain(' ,')
    expect(gpt.decode(gpt.encode('so . x'), { cleanUpTokenizationSpaces: true })).toBe('so . x')
    expect(bert.batchDecode([ids, ids])).toEqual([bert.decode(ids), bert.decode(ids)])
  })
})

describe('padding of rows encoded earlier', () => {
  it('takes rows or columns, and leaves other fields as they are', () => {
    const rows = ['a b c', 'a'].map((text, label) => ({ ...bert(text), label }))
    const padded = bert.pad(rows, { padToMultipleOf: 4 })
    expect(padded.inputIds.map((row) => row.length)).toEqual([8, 8])
    expect(padded.attentionMask?.[1]).toEqual([1, 1, 1, 0, 0, 0, 0, 0])
    expect(padded.label).toEqual([0, 1])
    expect(bert.pad({ inputIds: [[1, 2], [3]] })).toEqual({
      inputIds: [
        [1, 2],
        [3, bert.padTokenId],
      ],
      attentionMask: [
        [1, 1],
        [1, 0],
      ],
    })
  })
})

describe('chat templates', () => {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
  ]
  const template =
    "{% for m in messages %}{{ m.role + ': ' + m.content + eos_token + '\\n' }}{% endfor %}{% if add_generation_prompt %}bot:{% endif %}"

  it('give text, ids or a batch', async () => {
    const tokenizer = await makeGpt()
    tokenizer.chatTemplate = { default: template, tool_use: '{{ tools[0].name }}{{ extra }}' }
    const text = tokenizer.applyChatTemplate(messages, { tokenize: false, addGenerationPrompt: true })
    expect(text).toBe('system: Be brief.<|endoftext|>\nuser: Hi<|endoftext|>\nbot:')
    const ids = tokenizer.applyChatTemplate(messages, { returnDict: false })
    expect(tokenizer.decode(ids)).toBe(text.slice(0, -'bot:'.length))
    expect(tokenizer.applyChatTemplate(messages).inputIds).toEqual(ids)
    expect(tokenizer.applyChatTemplate([messages, messages]).inputIds).toEqual([ids, ids])
    const tools = [{ name: 'clock' }]
    const options = { tools, chatTemplateKwargs: { extra: '!' }, tokenize: false as const }
    expect(tokenizer.applyChatTemplate(messages, options)).toBe('clock!')
    expect(tokenizer.applyChatTemplate(messages, { continueFinalMessage: true, tokenize: false })).toMatch(
      /user: Hi$/,
    )
  })

  it('do not change the messages', async () => {
    const before = structuredClone(messages)
    gpt.applyChatTemplate(messages, { chatTemplate: template, continueFinalMessage: true, tokenize: false })
    expect(messages).toEqual(before)
  })
})

describe('saving', () => {
  it('writes files that give the same tokenizer', async () => {
    const tokenizer = await makeBert()
    tokenizer.addSpecialTokens({ additionalSpecialTokens: ['<entity>'] })
    tokenizer.chatTemplate = { default: 'main', other: 'side' }
    tokenizer.modelMaxLength = 1e30
    const folder = await temporaryFolder()
    await tokenizer.savePretrained(folder)
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([])
    const config = await readFile(`${folder}/tokenizer_config.json`, 'utf8')
    expect(config).toContain('"model_max_length": 1000000000000000019884624838656')
    const loaded = await PreTrainedTokenizer.fromFolder(folder)
    expect(loaded.toFiles()).toEqual(tokenizer.toFiles())
    expect(loaded.chatTemplate).toEqual({ default: 'main', other: 'side' })
    expect(loaded.additionalSpecialTokens).toEqual(['<entity>'])
    const text = 'A <entity> and [MASK].'
    expect({ ...loaded(text) }).toEqual({ ...tokenizer(text) })
  })

  it('fails with the folder that has no tokenizer', async () => {
    const folder = await temporaryFolder()
    await expect(PreTrainedTokenizer.fromFolder(folder)).rejects.toThrow(`${folder} has no tokenizer.json`)
  })

  // Alone, Python would take this repository's folder `transformers` for the package.
  it.runIf(hasPython('tokenizers', 'transformers'))("is read by Python's AutoTokenizer", async () => {
    const tokenizer = await makeGpt()
    tokenizer.addSpecialTokens({ padToken: '<pad>', additionalSpecialTokens: ['<extra>'] })
    tokenizer.chatTemplate = '{{ messages[0].content }}'
    const folder = await temporaryFolder()
    await tokenizer.savePretrained(folder)
    const texts = ['Hello 😀 world', 'naïve <extra> 我能']
    const program = `
import json, sys
from transformers import AutoTokenizer
t = AutoTokenizer.from_pretrained(sys.argv[1])
out = t(json.loads(sys.argv[2]), padding=True)
print(json.dumps({"ids": out["input_ids"], "mask": out["attention_mask"], "pad": t.pad_token_id,
                  "special": t.all_special_tokens, "chat": t.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)}))`
    const own = tokenizer(texts, { padding: true })
    expect(await runPython(program, folder, JSON.stringify(texts))).toEqual({
      ids: own.inputIds,
      mask: own.attentionMask,
      pad: tokenizer.padTokenId,
      special: tokenizer.allSpecialTokens,
      chat: 'x',
    })
  })
})
