import { copyFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { InputError } from '../../hub/index.ts'
import { AutoTokenizer } from '../../transformers/tokenizer/auto.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { goldens } from './goldens.ts'

async function modelFolder(): Promise<string> {
  const folder = await temporaryFolder()
  await copyFile(`${goldens}bert-cased/tokenizer.json`, join(folder, 'tokenizer.json'))
  await writeFile(join(folder, 'config.json'), '{"model_type": "bert"}')
  await writeFile(join(folder, 'special_tokens_map.json'), '{"pad_token": "[PAD]"}')
  return folder
}

describe('AutoTokenizer', () => {
  it('reads a folder; config.json says which fields the model takes', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(await modelFolder())
    expect(Object.keys(tokenizer('A text'))).toEqual(['inputIds', 'tokenTypeIds', 'attentionMask'])
  })

  it('gives int32 tensors on request', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(await modelFolder())
    const texts = ['A text', 'A longer text']
    const plain = tokenizer(texts, { padding: true })
    const batch = tokenizer(texts, { padding: true, returnTensors: true, returnOffsetsMapping: true })
    expect(batch.inputIds.dtype).toBe('int32')
    expect(await batch.inputIds.tolist()).toEqual(plain.inputIds)
    expect(await batch.attentionMask?.tolist()).toEqual(plain.attentionMask)
    expect(batch.offsetMapping?.shape).toEqual([...batch.inputIds.shape, 2])
    expect(batch.tokens(1)).toEqual(plain.tokens(1))
    const lone = tokenizer('A text', { returnTensors: 'tunesmith' })
    expect(await lone.inputIds.tolist()).toEqual([tokenizer.encode('A text')])
    const rows = texts.map((text) => ({ inputIds: tokenizer.encode(text) }))
    const padded = tokenizer.pad(rows, { returnTensors: true })
    expect(await padded.inputIds.tolist()).toEqual(plain.inputIds)
  })

  it('refuses rows of several lengths, with the fix', async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(await modelFolder())
    const call = () => tokenizer(['A text', 'A longer text'], { returnTensors: true })
    expect(call).toThrow(/rows of inputIds have from \d+ to \d+ tokens .* pass padding: true/)
    expect(() => tokenizer('a', { returnTensors: 'pt' as 'tunesmith' })).toThrow(
      'is true or \'tunesmith\', not "pt"',
    )
  })

  it.each([
    ['tokenizer.json', '{"model": {}}'],
    ['tokenizer_config.json', '[]'],
    ['special_tokens_map.json', '{'],
  ])('names the folder where %s is malformed', async (name, content) => {
    const folder = await modelFolder()
    await writeFile(join(folder, name), content)
    const loading = AutoTokenizer.fromPretrained(folder)
    await expect(loading).rejects.toThrow(InputError)
    await expect(loading).rejects.toThrow(folder)
  })

  it('names the folder that has no tokenizer', async () => {
    const folder = await temporaryFolder()
    await expect(AutoTokenizer.fromPretrained(folder)).rejects.toThrow(`${folder} has no tokenizer.json`)
  })
})
