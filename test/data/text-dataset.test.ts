import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  DataError,
  labelSet,
  parseTextDataset,
  readTextDataset,
  type TextDatasetOptions,
} from '../../data/index.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-data-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function read(name: string, content: string | Uint8Array, options?: TextDatasetOptions) {
  const path = join(folder, name)
  await writeFile(path, content)
  return (await readTextDataset(path, options)).map(({ text, label, line }) => [text, label, line])
}

/** The message of a refusal, without the folder. */
async function refusal(
  name: string,
  content: string | Uint8Array,
  options?: TextDatasetOptions,
): Promise<string> {
  const error = await read(name, content, options).catch((error: unknown) => error)
  if (!(error instanceof DataError)) throw new Error(`not refused: ${error}`)
  expect(error.message).not.toContain('\n')
  return error.message.replaceAll(`${folder}/`, '')
}

const required = { labels: 'required' } as const

describe('tsv', () => {
  test('without a header: text, then label', async () => {
    expect(await read('a.tsv', 'good film\t1\nbad "film\t0\n', required)).toEqual([
      ['good film', '1', 1],
      ['bad "film', '0', 2],
    ])
  })

  test('with a header, other columns, blank lines, CRLF and a byte order mark', async () => {
    const content = '\ufeffidx\tLabel\tSentence\r\n7\tpos\tgood\r\n\r\n8\tneg\tbad\r\n'
    expect(await read('a.tsv', content, required)).toEqual([
      ['good', 'pos', 2],
      ['bad', 'neg', 4],
    ])
  })

  test('with columns chosen by name', async () => {
    const content = 'title\tbody\tstars\nA\tlong\t5\n'
    const options = { ...required, textColumn: 'title', labelColumn: 'stars' }
    expect(await read('a.tsv', content, options)).toEqual([['A', '5', 2]])
  })

  test('with the label known, the one other column is the text', async () => {
    expect(await read('a.tsv', 'q\tlabel\nwhy\t1\n', required)).toEqual([['why', '1', 2]])
  })

  test('labels are optional unless required, and can be ignored', async () => {
    expect(await read('a.tsv', 'a\tx\nb\n')).toEqual([
      ['a', 'x', 1],
      ['b', undefined, 2],
    ])
    expect(await read('a.tsv', 'a\tx\n', { labels: 'ignored' })).toEqual([['a', undefined, 1]])
    expect(await read('a.tsv', 'only text\n')).toEqual([['only text', undefined, 1]])
  })

  test.each<[string, string, TextDatasetOptions, string]>([
    ['a line without label', 'a\t1\nb\nc\t0\n', required, 'a.tsv:2: the line has no label'],
    ['an empty label', 'a\t1\nb\t \n', required, 'a.tsv:2: the line has no label'],
    ['no labels at all', 'a\nb\n', required, 'a.tsv:1: the line has no label'],
    ['a surplus column', 'a\t1\nb\t1\tx\n', required, 'a.tsv:2: 3 columns, where 2 are expected'],
    ['an empty text', 'a\t1\n \t1\n', required, 'a.tsv:2: the text is empty'],
    ['a header alone', 'text\tlabel\n', required, 'a.tsv has a header but no rows'],
    ['nothing', '', required, 'a.tsv is empty'],
    ['white space', ' \n\n', required, 'a.tsv is empty'],
    [
      'three columns without names',
      'a\tb\tc\n',
      required,
      'a.tsv:1: 3 columns and no header that names the text',
    ],
    [
      'an unknown column',
      'text\tlabel\na\t1\n',
      { textColumn: 'body' },
      'a.tsv has no column "body"; it has: text, label',
    ],
    [
      'a column of a file without header',
      'a\t1\n',
      { labelColumn: 'label' },
      'a.tsv has no column "label"; it has: a, 1',
    ],
    [
      'a header without label',
      'text\tfoo\na\t1\n',
      required,
      'which column holds the label? Name it with labelColumn; there are: text, foo',
    ],
    ['a header without text', 'foo\tbar\tlabel\na\tb\t1\n', required, 'which column holds the text?'],
    ['one column for both', 'text\tlabel\na\t1\n', { labelColumn: 'text' }, 'cannot be both text and label'],
  ])('refuses %s', async (_, content, options, message) => {
    expect(await refusal('a.tsv', content, options)).toContain(message)
  })
})

describe('csv', () => {
  test('quoted fields over several lines, with lines counted', async () => {
    const content = 'text,label\r\n"a, ""b""\r\nc",1\r\n\r\nd,0\r\n'
    expect(await read('a.csv', content, required)).toEqual([
      ['a, "b"\nc', '1', 2],
      ['d', '0', 5],
    ])
  })

  test.each([
    [
      'an open quote',
      'text,label\na,1\n"b,0\n',
      /^\[data\] a\.csv:[34]: a quoted field .* has no closing quote$/,
    ],
    ['text after a quote', 'text,label\n"b"c,0\n', /^\[data\] a\.csv:2: text after the closing quote/],
    ['a quote inside', 'text,label\nb"c,0\n', /^\[data\] a\.csv:2: a quote inside a field/],
    [
      'a missing label behind a long field',
      'text,label\n"b\nc",1\nd\n',
      /^\[data\] a\.csv:4: the line has no label$/,
    ],
  ])('refuses %s', async (_, content, message) => {
    expect(await refusal('a.csv', content, required)).toMatch(message)
  })

  test('gives back what a writer quoted', async () => {
    const field = fc.string({ unit: 'grapheme' }).map((text) => `x${text.replaceAll('\r', '')}`)
    const row = fc.tuple(
      field,
      field.map((text) => text.trim()),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1 }), async (rows) => {
        const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`
        const csv = rows.map((row) => `${row.map(quoted).join(',')}\n`).join('')
        const parsed = await parseTextDataset(`text,label\n${csv}`, 'a.csv', { format: 'csv', ...required })
        expect(parsed.map(({ text, label }) => [text, label])).toEqual(rows)
        const lines = csv.split('\n')
        for (const { text, line } of parsed) expect(lines[line - 2]).toContain(quoted(text).split('\n')[0])
      }),
    )
  })
})

describe('jsonl', () => {
  test('labels of any plain kind', async () => {
    const content =
      '{"text":"a","label":1}\n\n{"label":"pos","text":"b"}\n{"text":"c","label":true}\n{"text":"d"}\n'
    expect(await read('a.jsonl', content)).toEqual([
      ['a', '1', 1],
      ['b', 'pos', 3],
      ['c', 'true', 4],
      ['d', undefined, 5],
    ])
  })

  test.each([
    ['{"text":"a","label":1}\n{"text":"b"}\n', 'a.jsonl:2: the line has no label'],
    ['{"text":"a"}\n{"text":"b","label":null}\n', 'a.jsonl:1: the line has no label'],
    ['{"text":"a","label":1}\n{"text":\n', 'a.jsonl:2: not valid JSON'],
    ['["a"]\n', 'a.jsonl:1: not a JSON object'],
    ['{"text":"a","label":1}\n{"label":1}\n', 'a.jsonl:2: "text" is missing'],
    ['{"text":3,"label":1}\n', 'a.jsonl:1: "text" must be a string'],
    ['{"text":"a","label":[1]}\n', 'a.jsonl:1: "label" must be a string, a number or a boolean'],
    ['{"text":"a"}\n', 'which column holds the label?'],
    ['', 'a.jsonl is empty'],
  ])('refuses %j', async (content, message) => {
    expect(await refusal('a.jsonl', content, required)).toContain(message)
  })

  test('keys of Object.prototype are no columns', async () => {
    const content = '{"text":"a","__proto__":"x"}\n{"text":"b"}\n'
    expect(await read('a.jsonl', content, { labelColumn: '__proto__' })).toEqual([
      ['a', 'x', 1],
      ['b', undefined, 2],
    ])
    expect(await refusal('a.jsonl', content, { labelColumn: 'constructor' })).toContain(
      'no column "constructor"',
    )
  })
})

describe('files', () => {
  test('txt has a text a line, and no labels or columns', async () => {
    expect(await read('a.txt', 'one\ttab\n\ntwo')).toEqual([
      ['one\ttab', undefined, 1],
      ['two', undefined, 3],
    ])
    expect(await refusal('a.txt', 'a', required)).toContain('a txt file has no labels; use tsv, csv or jsonl')
    expect(await refusal('a.txt', 'a', { textColumn: 'text' })).toContain('has no columns')
  })

  test('that are not UTF-8 are refused with the line', async () => {
    const latin1 = Buffer.from('good\t1\ncaf\xe9\t0\nbad\t0\n', 'latin1')
    expect(await refusal('a.tsv', latin1)).toBe('[data] a.tsv:2: not valid UTF-8; save the file as UTF-8')
    expect(await refusal('a.tsv', Buffer.from('\ufeffa\t1\n', 'utf16le'))).toContain(
      'a.tsv:1: not valid UTF-8',
    )
  })

  test('that are missing, a folder, or of an unknown kind', async () => {
    await expect(readTextDataset(join(folder, 'gone.tsv'))).rejects.toThrow(
      /cannot read .*gone\.tsv: no such file$/,
    )
    await mkdir(join(folder, 'folder.tsv'))
    await expect(readTextDataset(join(folder, 'folder.tsv'))).rejects.toThrow('is a folder')
    expect(await refusal('a.arrow', 'x')).toContain('it must end in .tsv, .csv, .jsonl, .txt or .parquet')
    expect(await refusal('constructor', 'x')).toContain('unknown kind')
    expect(await read('data', 'a\t1', { format: 'tsv' })).toEqual([['a', '1', 1]])
  })

  const sst2 = join(import.meta.dirname, '../../../shared/data/sst2')
  test.runIf(existsSync(sst2))('SST-2', async () => {
    const sizes = { train: 6920, dev: 872, test: 1821 }
    for (const [name, size] of Object.entries(sizes)) {
      const rows = await readTextDataset(join(sst2, `${name}.tsv`), required)
      expect(rows).toHaveLength(size)
      expect(labelSet(rows).names).toEqual(['0', '1'])
      expect(rows.every((row, i) => row.line === i + 1)).toBe(true)
    }
  })
})
