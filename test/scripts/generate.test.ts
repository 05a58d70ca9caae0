import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { setDefaultDevice } from '../../core/index.ts'
import { writeTinyEncoder, writeTinyGenerator } from '../helpers/tiny-models.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { errorLines, runCommand } from './run-command.ts'

beforeAll(async () => {
  await setDefaultDevice('reference')
})

let folder: string
let model: string

beforeEach(async () => {
  folder = await temporaryFolder()
  model = await writeTinyGenerator(join(folder, 'generator'))
})

const generate = (...args: string[]) =>
  runCommand(['generate', '--model', model, '--device', 'reference', ...args])

describe('generate', () => {
  it('streams text, then says how fast', async () => {
    const args = ['--prompt', 'the film is', '--max-new-tokens', '6', '--json']
    const result = await generate(...args)
    expect(result.code).toBe(0)
    const report = result.json() as { text: string; newTokens: number; promptTokens: number }
    expect(report).toMatchObject({
      promptTokens: 5,
      prefillSeconds: expect.any(Number),
      tokensPerSecond: expect.any(Number),
    })
    expect(report.newTokens).toBeGreaterThanOrEqual(1)
    expect(report.newTokens).toBeLessThanOrEqual(6)
    expect(result.stdout.startsWith(`${report.text}\n`)).toBe(true)
    expect((await generate(...args)).json().text).toBe(report.text)
  })

  it('draws the same text from the same seed', async () => {
    const draw = async (seed: string) =>
      (
        await generate('--prompt', 'the film', '--do-sample', '--temperature', '2', '--seed', seed, '--json')
      ).json().text
    const [one, same, other] = [await draw('1'), await draw('1'), await draw('2')]
    expect(one).toBe(same)
    expect(one).not.toBe(other)
  })

  it.each([
    ['a prompt longer than the context', ['--prompt', 'film '.repeat(40)], /42 tokens.*context only 32/],
    [
      'beams, which are not built',
      ['--prompt', 'film', '--num-beams', '2'],
      /numBeams = 2 is not supported yet/,
    ],
    ['a chat without a template', ['--prompt', 'film', '--chat'], /no chat template/],
    [
      'a temperature of nothing',
      ['--prompt', 'film', '--temperature', '0'],
      /--temperature.*a number over 0/,
    ],
    ['an unknown dtype', ['--prompt', 'film', '--dtype', 'int3'], /--dtype.*int3/],
  ])('refuses %s', async (_, args, line) => {
    const result = await generate(...args)
    expect(errorLines(result)).toEqual([expect.stringMatching(line)])
    expect(result.stdout).toBe('')
    expect(result.code).toBe(2)
  })
})

describe('classify', () => {
  it('refuses an encoder without a head, and a folder without a tokenizer', async () => {
    const encoder = await writeTinyEncoder(join(folder, 'encoder'))
    const classify = (name: string) =>
      runCommand(['classify', '--model', name, '--text', 'x', '--device', 'reference'])
    const headless = await classify(encoder)
    expect(errorLines(headless)).toEqual([expect.stringContaining('no text classifier (BertModel)')])
    expect(headless.code).toBe(2)
    await writeFile(join(encoder, 'tokenizer.json'), '{')
    const broken = await classify(encoder)
    expect(errorLines(broken).length).toBe(1)
    expect(broken.code).toBe(2)
  })
})
