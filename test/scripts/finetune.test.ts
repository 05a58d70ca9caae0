import { mkdir, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { setDefaultDevice } from '../../core/index.ts'
import { sentences, writeTinyEncoder, writeTinyGenerator } from '../helpers/tiny-models.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'
import { errorLines, runCommand } from './run-command.ts'

beforeAll(async () => {
  await setDefaultDevice('reference')
})

const tsv = (rows: { text: string; label: string }[]) =>
  rows.map(({ text, label }) => `${text}\t${label}\n`).join('')

let folder: string
let model: string
let train: string
let evaluation: string

beforeEach(async () => {
  folder = await temporaryFolder()
  model = await writeTinyEncoder(join(folder, 'encoder'))
  train = join(folder, 'train.tsv')
  evaluation = join(folder, 'eval.tsv')
  await writeFile(train, tsv(sentences(24)))
  await writeFile(evaluation, tsv(sentences(10, 4)))
})

const finetune = (args: readonly string[], options = {}) =>
  runCommand(
    ['finetune', '--model', model, '--task', 'text-classification', '--device', 'reference', ...args],
    options,
  )

describe('finetune', () => {
  it('reads Parquet', async () => {
    const parquet = join(import.meta.dirname, '../goldens/parquet/snappy.parquet')
    const output = join(folder, 'trained')
    const result = await finetune([
      '--train',
      parquet,
      '--limit',
      '8',
      '--epochs',
      '1',
      '--output',
      output,
      '--json',
    ])
    expect(result.code).toBe(0)
    const config = JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))
    expect(config.id2label).toEqual({ 0: 'ham', 1: 'other', 2: 'spam' })
  })

  it('trains, evaluates, saves, and reports all of it as JSON', async () => {
    const output = join(folder, 'trained')
    const args = [
      '--train',
      train,
      '--eval',
      evaluation,
      '--output',
      output,
      '--batch-size',
      '8',
      '--epochs',
      '2',
      '--json',
    ]
    const result = await finetune(args)
    expect(result.code).toBe(0)
    const report = result.json()
    expect(report).toMatchObject({
      task: 'text-classification',
      model,
      device: 'reference',
      threads: 1,
      steps: 6,
      epoch: 2,
      paddingRatio: 0,
      interrupted: false,
      output,
      trainSeconds: expect.any(Number),
      tokens: expect.any(Number),
      tokensPerSecond: expect.any(Number),
      finalLoss: expect.any(Number),
      peakMemoryBytes: expect.any(Number),
      eval: { loss: expect.any(Number), accuracy: expect.any(Number), macroF1: expect.any(Number) },
    })
    expect((report.losses as number[]).length).toBe(6)
    expect(result.stdout.trimEnd().split('\n').length).toBe(1)
    expect((await readdir(output)).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'special_tokens_map.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    expect(JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))).toMatchObject({
      architectures: ['BertForSequenceClassification'],
      id2label: { 0: 'negative', 1: 'positive' },
      label2id: { negative: 0, positive: 1 },
    })

    const labels = await runCommand([
      'classify',
      '--model',
      output,
      '--text',
      'a good film',
      '--text',
      'a bad film',
      '--device',
      'reference',
      '--json',
    ])
    expect(labels.code).toBe(0)
    const results = labels.json().results as { label: string; score: number }[]
    expect(results.length).toBe(2)
    for (const { label, score } of results) {
      expect(['negative', 'positive']).toContain(label)
      expect(score).toBeGreaterThanOrEqual(0.5)
    }
    // a trained model is a place to save to
    const again = await finetune(['--train', train, '--output', output, '--max-steps', '1'])
    expect(again.code).toBe(0)
  })

  it('ends after the step at Ctrl-C, and saves', async () => {
    const output = join(folder, 'trained')
    const when = { stderr: /training 1\//, act: (kill: (s: NodeJS.Signals) => void) => kill('SIGINT') }
    const result = await finetune(['--train', train, '--epochs', '500', '--output', output, '--json'], {
      when,
    })
    expect(result.code).toBe(0)
    const report = result.json()
    expect(report).toMatchObject({ interrupted: true, output, eval: null })
    expect(report.steps).toBeGreaterThanOrEqual(1)
    expect(report.steps).toBeLessThan(500)
    expect(await readdir(output)).toContain('model.safetensors')
  })

  it('learns a language model from a txt file, and refuses a label column for it', async () => {
    const generator = await writeTinyGenerator(join(folder, 'generator'))
    const text = join(folder, 'text.txt')
    await writeFile(
      text,
      sentences(40)
        .map((s) => s.text)
        .join('\n'),
    )
    const args = ['finetune', '--model', generator, '--task', 'causal-lm', '--train', text, '--eval', text]
    args.push('--device', 'reference', '--max-length', '16', '--max-steps', '3', '--lr', '1e-2', '--json')
    const result = await runCommand(args)
    expect(result.code).toBe(0)
    const { eval: measured, losses } = result.json() as { eval: Record<string, number>; losses: number[] }
    expect(losses.length).toBe(3)
    expect(measured.perplexity).toBeCloseTo(Math.exp(measured.loss), 6)
    expect(measured.bitsPerByte).toBeGreaterThan(0)
    const refused = await runCommand([...args, '--label-column', 'x'])
    expect(errorLines(refused)).toEqual([expect.stringContaining('--label-column has no meaning')])
    expect(refused.code).toBe(2)
  })
})

describe('bad input of finetune', () => {
  async function expectRefused(args: readonly string[], line: RegExp) {
    const output = join(folder, 'out')
    const before = await readdir(folder)
    const result = await finetune([
      ...(args.includes('--train') ? [] : ['--train', train]),
      '--output',
      output,
      ...args,
    ])
    expect(errorLines(result)).toEqual([expect.stringMatching(line)])
    expect(result.stdout).toBe('')
    expect(result.code).toBe(2)
    expect(await readdir(folder)).toEqual(before)
  }

  it('names a missing model', async () => {
    const result = await runCommand([
      'finetune',
      '--model',
      './nowhere',
      '--task',
      'text-classification',
      '--train',
      train,
    ])
    expect(errorLines(result)).toEqual([expect.stringContaining('./nowhere')])
    expect(result.code).toBe(2)
  })

  it('names a missing weights file and a truncated one', async () => {
    await truncate(join(model, 'model.safetensors'), 3000)
    await expectRefused([], /model\.safetensors/)
    const bare = join(folder, 'bare')
    await mkdir(bare)
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json'])
      await writeFile(join(bare, name), await readFile(join(model, name)))
    await expectRefused(['--model', bare], /bare.*model\.safetensors|model\.safetensors.*bare/)
  })

  it('names file and line of a label that is missing, unknown or of another kind', async () => {
    const bad = join(folder, 'bad.tsv')
    await writeFile(bad, 'a good film\tpositive\na bad film\tnegative\na film\n')
    await expectRefused(['--train', bad], /bad\.tsv:3: .*no label/)
    await writeFile(bad, 'a good film\tpositive\nan odd film\todd\n')
    await expectRefused(['--eval', bad], /bad\.tsv:2: label "odd" is none of "negative", "positive"/)
    await writeFile(bad, 'a good film\t1\na bad film\t0\na film\tx\n')
    await expectRefused(['--train', bad], /bad\.tsv:3: label "x" is not a number/)
  })

  it('names an empty and a missing file', async () => {
    const empty = join(folder, 'empty.tsv')
    await writeFile(empty, '')
    await expectRefused(['--train', empty], /empty\.tsv is empty/)
    await expectRefused(['--train', join(folder, 'none.tsv')], /none\.tsv/)
  })

  it('names an unknown option and values that make no sense', async () => {
    await expectRefused(['--learning-rate', '1'], /unknown option '--learning-rate'/)
    await expectRefused(['--epochs', 'many'], /--epochs.*many/)
    await expectRefused(['--task', 'poetry'], /--task.*poetry/)
    await expectRefused(
      ['--batch-size', '8', '--batch-tokens', '100'],
      /--batch-tokens.*cannot be used with.*--batch-size/,
    )
    await expectRefused(['--max-length', '33'], /maxLength 33 is over the 32 tokens/)
  })

  it('leaves a folder alone that holds something else', async () => {
    const taken = join(folder, 'taken')
    await mkdir(taken)
    await writeFile(join(taken, 'diary.txt'), 'mine')
    await expectRefused(['--output', taken], /taken exists and is not a model/)
    expect(await readdir(taken)).toEqual(['diary.txt'])
  })
})
