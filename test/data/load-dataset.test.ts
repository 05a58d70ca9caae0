import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openRows } from '../../data/dataset/formats.ts'
import { DataError, Dataset, IterableDataset, loadDataset, readTextDataset } from '../../data/index.ts'
import { memoryAccess, type RandomAccess } from '../../hub/index.ts'
import { startHub } from '../hub/local-hub/hub.ts'
import { hasPython, python } from '../hub/python.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

const PARQUET = join(import.meta.dirname, '../goldens/parquet')

/** A folder with these files. */
async function folder(files: Record<string, string | Uint8Array>): Promise<string> {
  const root = await temporaryFolder()
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), content)
  }
  return root
}

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => 'no failure',
    (error: unknown) => (error instanceof DataError ? error.message : `a defect: ${error}`),
  )

async function rowsOf(file: string, content: string | Uint8Array, options = {}) {
  const root = await folder({ [file]: content })
  const dataset = await loadDataset(join(root, file), { split: 'train', ...options })
  const stream = await loadDataset(join(root, file), { split: 'train', streaming: true, ...options })
  const streamed = []
  for await (const row of stream) streamed.push(row)
  expect(streamed).toEqual([...dataset])
  return dataset
}

describe('formats', () => {
  test('csv: types by what the cells look like, quotes, missing cells', async () => {
    const dataset = await rowsOf(
      'a.csv',
      'text,n,x,yes,code\n"one, two",1,1.5,true,007\n"line\nbreak",,2,FALSE,008\nshort,3\n',
    )
    expect([...dataset]).toEqual([
      { text: 'one, two', n: 1, x: 1.5, yes: true, code: '007' },
      { text: 'line\nbreak', n: null, x: 2, yes: false, code: '008' },
      { text: 'short', n: 3, x: null, yes: null, code: null },
    ])
    expect(dataset.features).toEqual({
      text: { dtype: 'string' },
      n: { dtype: 'int64' },
      x: { dtype: 'float64' },
      yes: { dtype: 'bool' },
      code: { dtype: 'string' },
    })
  })

  test('tsv: no quoting; columns and types as told', async () => {
    const dataset = await rowsOf('a.tsv', 'say "hi\t1\r\nbye\t2\n', {
      columnNames: ['text', 'label'],
      features: { label: { dtype: 'string' } },
    })
    expect([...dataset]).toEqual([
      { text: 'say "hi', label: '1' },
      { text: 'bye', label: '2' },
    ])
  })

  test('jsonl and JSON arrays', async () => {
    const rows = [
      { a: 1, b: ['x'] },
      { a: 2.5, b: [] },
    ]
    expect([
      ...(await rowsOf('a.jsonl', `${JSON.stringify(rows[0])}\n\n${JSON.stringify(rows[1])}`)),
    ]).toEqual(rows)
    expect([...(await rowsOf('a.json', JSON.stringify(rows, null, 2)))]).toEqual(rows)
  })

  test('txt: every line, empty ones too', async () => {
    expect([...(await rowsOf('a.txt', '\uFEFFone\r\n\ntwo'))].map(({ text }) => text)).toEqual([
      'one',
      '',
      'two',
    ])
  })

  test('packed with gzip', async () => {
    expect((await rowsOf('a.csv.gz', gzipSync('text,label\na,1\n'))).at(0)).toEqual({ text: 'a', label: 1 })
    const broken = join(await folder({ 'a.jsonl.gz': gzipSync('{"a":1}').subarray(0, 12) }), 'a.jsonl.gz')
    expect(await failure(loadDataset(broken))).toContain('cannot be unpacked')
  })

  test('lines over the borders of what is read at a time, with letters of several bytes', async () => {
    const lines = Array.from({ length: 3000 }, (_, i) => `${'größe 漢字 😀 '.repeat(i % 40)}${i}`)
    const dataset = await rowsOf('a.txt', lines.join('\n'))
    expect(dataset.column('text')).toEqual(lines)
  })

  test.each<[string, string | Uint8Array, string]>([
    ['a.csv', 'a,b\n1,2\n3,4,5\n', 'a.csv:3: 3 columns, where the header names 2'],
    ['a.csv', 'a,a\n1,2\n', 'a.csv:1: two columns are named "a"'],
    ['a.csv', 'a\n"open\n', 'has no closing quote'],
    ['a.csv', Uint8Array.of(97, 10, 255, 10), 'not valid UTF-8'],
    ['a.jsonl', '{"a":1}\n{"a":\n', 'a.jsonl:2: not valid JSON'],
    ['a.jsonl', '1\n', 'a.jsonl:1: not a JSON object'],
    ['a.json', '[1]', 'item 0: not a JSON object'],
    ['a.parquet', 'PAR1', 'a.parquet is not a Parquet file that can be read'],
  ])('%s %j is an error of one line', async (file, content, reason) => {
    const path = join(await folder({ [file]: content }), file)
    const message = await failure(loadDataset(path))
    expect(message).toMatch(/^\[data\] [^\n]+$/)
    expect(message).toContain(reason)
  })

  test('a cell that does not fit what a thousand before it were', async () => {
    const cells = ['n', ...Array.from({ length: 1200 }, (_, i) => i), 'many']
    const path = join(await folder({ 'a.csv': cells.join('\n') }), 'a.csv')
    expect(await failure(loadDataset(path))).toMatch(
      /a\.csv:1202: "many" in column "n" is no int64.*features/,
    )
    const told = await loadDataset(path, { split: 'train', features: { n: { dtype: 'string' } } })
    expect(told.at(-1)).toEqual({ n: 'many' })
  })
})

/** Every file of a folder of test/data/parquet_files.py holds the rows of expected.jsonl. */
async function checkParquet(root: string) {
  const lines = (await readFile(join(root, 'expected.jsonl'), 'utf8')).trim().split('\n')
  const expected = lines.map((line) => JSON.parse(line))
  for (const codec of ['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'v2']) {
    const file = join(root, `${codec}.parquet`)
    const dataset = await loadDataset(file, { split: 'train' })
    expect([...dataset]).toEqual(expected)
    expect(dataset.features.label).toEqual({ dtype: 'int64', names: ['ham', 'spam', 'other'] })
    const stream = await loadDataset(file, { split: 'train', streaming: true })
    expect(stream.features).toEqual(dataset.features)
    expect([...(await stream.take(50).toDataset())]).toEqual(expected.slice(0, 50))
  }
}

describe('Parquet', () => {
  test('of every compression, as pyarrow wrote it', () => checkParquet(PARQUET))

  test.runIf(hasPython('pyarrow'))('as the pyarrow here writes it', async () => {
    const root = await temporaryFolder()
    await python(join(import.meta.dirname, 'parquet_files.py'), root, '5')
    await checkParquet(root)
  })

  test('gives the texts of a training, classes by their names', async () => {
    const rows = await readTextDataset(join(PARQUET, 'snappy.parquet'), { labels: 'required' })
    const dataset = await loadDataset(join(PARQUET, 'expected.jsonl'), { split: 'train' })
    const names = ['ham', 'spam', 'other']
    expect(rows.map(({ text, label }) => ({ text, label }))).toEqual(
      Array.from(dataset, ({ text, label }) => ({ text, label: names[Number(label)] })),
    )
    expect(rows[7].line).toBe(8)
  })
})

describe('splits', () => {
  const names = async (paths: string[], options = {}) => {
    const root = await folder(Object.fromEntries(paths.map((path) => [path, 'text\nx\n'])))
    return Object.keys(await loadDataset(root, options))
  }

  test.each<[string[], string[]]>([
    [['data.csv'], ['train']],
    [
      ['train.csv', 'dev.csv', 'test.csv', 'README.txt'],
      ['train', 'validation', 'test'],
    ],
    [
      ['my_train_file_1.csv', 'my-valid.csv'],
      ['train', 'validation'],
    ],
    [
      ['training/a.csv', 'evaluation/a.csv'],
      ['train', 'test'],
    ],
    [
      ['data/train-00000-of-00002.csv', 'data/train-00001-of-00002.csv', 'data/extra-00000-of-00001.csv'],
      ['train', 'extra'],
    ],
    [['contest.csv', 'latest.csv'], ['train']],
  ])('%j', async (paths, expected) => {
    expect(await names(paths)).toEqual(expected)
  })

  test('shards follow one another, other kinds of files are left out', async () => {
    const root = await folder({
      'data/train-00001-of-00002.jsonl': '{"n":2}',
      'data/train-00000-of-00002.jsonl': '{"n":1}',
      'README.md': '# data',
      'license.txt': 'free',
      '.cache/train.jsonl': '{"n":9}',
    })
    const { train } = await loadDataset(root)
    expect(train.column('n')).toEqual([1, 2])
  })

  test('a configuration is a folder, and has to be named where there are several', async () => {
    const root = await folder({
      'cola/train-00000-of-00001.jsonl': '{"n":1}',
      'sst2/train-00000-of-00001.jsonl': '{"n":2}',
    })
    expect(await failure(loadDataset(root))).toContain(
      'several configurations; choose one with name: cola, sst2',
    )
    expect((await loadDataset(root, { name: 'sst2', split: 'train' })).column('n')).toEqual([2])
    expect(await failure(loadDataset(root, { name: 'qqp' }))).toContain(
      'no folder "qqp" with data; there are: cola, sst2',
    )
  })

  test('the card says which files are of which configuration', async () => {
    const configs = ['a', 'b'].map(
      (name) => `- config_name: ${name}\n  data_files:\n  - split: ${name}1\n    path: "${name}/*.jsonl"\n`,
    )
    const files = { 'a/x.jsonl': '{"n":1}', 'b/y.jsonl': '{"n":2}' }
    const root = await folder({ ...files, 'README.md': `---\nconfigs:\n${configs.join('')}---\n# Data\n` })
    expect(await failure(loadDataset(root))).toContain('several configurations; choose one with name: a, b')
    expect(await failure(loadDataset(root, { name: 'c' }))).toContain('no configuration "c"; there are: a, b')
    expect((await loadDataset(root, { name: 'b' })).b1.column('n')).toEqual([2])
    const one = await folder({ ...files, 'README.md': `---\nconfigs:\n${configs[0]}---\n` })
    expect(Object.keys(await loadDataset(one))).toEqual(['a1'])
    expect(Object.keys(await loadDataset(await folder({ ...files, 'README.md': '# Data' })))).toEqual([
      'train',
    ])
  })

  test('files as told, and what is not there', async () => {
    const root = await folder({ 'a.csv': 'n\n1\n', 'b.csv': 'n\n2\n', 'c.dat': 'n\n3\n' })
    const data = await loadDataset(root, { dataFiles: { learn: 'a.*', check: ['b.csv'] } })
    expect(Object.keys(data)).toEqual(['learn', 'check'])
    expect((await loadDataset(join(root, 'c.dat'), { format: 'csv', split: 'train' })).column('n')).toEqual([
      3,
    ])
    expect(await failure(loadDataset(root, { split: 'test' }))).toContain(
      'has no split "test"; there are: train',
    )
    expect(await failure(loadDataset(root, { dataFiles: 'x*' }))).toContain('has no file "x*"')
    expect(await failure(loadDataset(join(root, 'none.csv')))).toContain('there is no file or folder')
    expect(await failure(loadDataset(await folder({ 'x.bin': '' })))).toContain('has no data in csv')
  })
})

test('from a URL, in ranges or whole', async () => {
  const parquet = await readFile(join(PARQUET, 'zstd.parquet'))
  const server = createServer((request, response) => {
    const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '')
    if (request.url?.startsWith('/whole.csv')) return void response.end('text,label\na,0\n')
    if (!range) return void response.end(parquet)
    const [begin, end] = [Number(range[1]), Math.min(Number(range[2]) + 1, parquet.length)]
    response.writeHead(206, { 'Content-Range': `bytes ${begin}-${end - 1}/${parquet.length}` })
    response.end(parquet.subarray(begin, end))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { train } = await loadDataset(`${address}/train.parquet?token=x`)
  expect(train.length).toBe(100)
  expect([...(await loadDataset(`${address}/whole.csv`, { split: 'train' }))]).toEqual([
    { text: 'a', label: 0 },
  ])
})

describe('streaming', () => {
  test.each(['csv', 'tsv', 'jsonl', 'txt'] as const)('%s is read a piece at a time', async (format) => {
    const line =
      format === 'jsonl' ? '{"text":"a line of a hundred bytes"}' : 'a line of a hundred bytes\tand\tmore'
    const bytes = new TextEncoder().encode(`${line}\n`.repeat(200_000)) // some 8 MB
    let end = 0
    const whole = memoryAccess(bytes)
    const file: RandomAccess = {
      ...whole,
      read(offset, length) {
        end = Math.max(end, offset + length)
        return whole.read(offset, length)
      },
    }
    const { rows } = await openRows(file, format, {})
    const places: number[] = []
    let row = 0
    for await (const _ of rows()) {
      if (++row % 50_000 === 1) places.push(end)
      if (row === 100_001) break
    }
    // two pieces of 256 KiB, and what a parser and the look at the first rows hold
    for (const [i, place] of places.entries())
      expect(place).toBeLessThan(i * 50_000 * (line.length + 1) + 1_000_000)
    expect(places).toHaveLength(3)
  })

  test('of Parquet a row group at a time', async () => {
    const bytes = new Uint8Array(await readFile(join(PARQUET, 'none.parquet')))
    const whole = memoryAccess(bytes)
    let fetched = 0
    const file: RandomAccess = {
      ...whole,
      read(offset, length) {
        fetched += length
        return whole.read(offset, length)
      },
    }
    const { rows } = await openRows(file, 'parquet', {})
    const footer = fetched
    const seen: number[] = []
    for await (const _ of rows()) seen.push(fetched - footer)
    expect(new Set(seen).size).toBe(3) // groups of 40, 40 and 20 rows
    expect(seen[39]).toBeLessThan(bytes.length / 2)
  })
})

describe('a data set in memory', () => {
  const numbers = new Dataset(Array.from({ length: 10 }, (_, n) => ({ n, even: n % 2 === 0 })))

  test('chooses, sorts out, shuffles, cuts', () => {
    expect(numbers.select([3, 1]).column('n')).toEqual([3, 1])
    expect(numbers.filter(({ even }) => even).column('n')).toEqual([0, 2, 4, 6, 8])
    expect(numbers.take(2).column('n')).toEqual([0, 1])
    expect(numbers.skip(8).column('n')).toEqual([8, 9])
    const shuffled = numbers.shuffle(7).column('n')
    expect(shuffled).not.toEqual(numbers.column('n'))
    expect(shuffled).toEqual(numbers.shuffle(7).column('n'))
    expect(shuffled).not.toEqual(numbers.shuffle(8).column('n'))
    expect([...shuffled].sort((a, b) => a - b)).toEqual(numbers.column('n'))
    const { train, test: held } = numbers.trainTestSplit({ testSize: 0.3, seed: 1 })
    expect([train.length, held.length]).toEqual([7, 3])
    expect([...train, ...held].map(({ n }) => n).sort((a, b) => a - b)).toEqual(numbers.column('n'))
    expect(numbers.trainTestSplit({ testSize: 2, shuffle: false }).test.column('n')).toEqual([8, 9])
  })

  test('maps rows and batches', () => {
    const squared = numbers.map(({ n }) => ({ square: n * n }), { removeColumns: 'even' })
    expect(squared.at(3)).toEqual({ n: 3, square: 9 })
    expect(squared.columnNames).toEqual(['n', 'square'])
    const doubled = numbers.mapBatches(({ n }) => ({ n: [...n, ...n] }), {
      removeColumns: ['even'],
      batchSize: 4,
    })
    expect(doubled.length).toBe(20)
    expect(doubled.column('n').slice(0, 8)).toEqual([0, 1, 2, 3, 0, 1, 2, 3])
    const batches = [...numbers.batch(4)]
    expect(batches.map(({ n }) => n)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ])
    expect(numbers.batch(4, { dropLast: true }).length).toBe(2)
  })

  test('columns', () => {
    expect(numbers.renameColumn('n', 'id').columnNames).toEqual(['id', 'even'])
    expect(numbers.selectColumns('even').at(0)).toEqual({ even: true })
    expect(numbers.removeColumns('n').columnNames).toEqual(['even'])
    expect(Dataset.fromColumns({ a: [1, 2], b: ['x', 'y'] }).at(1)).toEqual({ a: 2, b: 'y' })
  })

  test('says what is not there', () => {
    expect(() => numbers.at(10)).toThrow('there is no row 10 among 10')
    expect(() => numbers.column('m' as 'n')).toThrow('there is no column "m"; there are: n, even')
    expect(() => numbers.removeColumns('m')).toThrow('there is no column "m"')
    expect(() => numbers.trainTestSplit({ testSize: 10 })).toThrow('leaves a part empty')
    expect(() => numbers.map((async () => ({})) as never)).toThrow('synchronous function')
    expect(() => Dataset.fromColumns({ a: [1], b: [] })).toThrow('columns of a batch are of one length')
  })
})

describe('a stream', () => {
  const stream = new IterableDataset(async function* () {
    for (let n = 0; n < 10; n++) yield { n }
  })
  const list = async (rows: IterableDataset<{ n: number }>) => (await rows.toDataset()).column('n')

  test('maps, filters and waits for what is asynchronous', async () => {
    const changed = stream.filter(async ({ n }) => n > 6).map(async ({ n }) => ({ m: -n }))
    expect([...(await changed.toDataset())]).toEqual([
      { n: 7, m: -7 },
      { n: 8, m: -8 },
      { n: 9, m: -9 },
    ])
  })

  test('can be gone through twice, and ends early', async () => {
    const part = stream.skip(2).take(3)
    expect(await list(part)).toEqual([2, 3, 4])
    expect(await list(part)).toEqual([2, 3, 4])
    expect((await stream.take(0).toDataset()).length).toBe(0)
    expect((await part.toDataset()).filter(() => false).column('n')).toEqual([])
    expect((await stream.batch(4).toDataset()).at(2)).toEqual({ n: [8, 9] })
  })

  test('shuffles within its buffer, the same for the same seed', async () => {
    const shuffled = await list(stream.shuffle(3, { bufferSize: 4 }))
    expect(shuffled).toEqual(await list(stream.shuffle(3, { bufferSize: 4 })))
    expect(shuffled).not.toEqual(await list(stream))
    expect([...shuffled].sort((a, b) => a - b)).toEqual(await list(stream))
    expect(shuffled[0]).toBeLessThan(4)
  })
})

describe('from the Hub', () => {
  const id = 'owner/mails'
  const files = {
    'README.md': '---\nlicense: mit\n---\n# Mails\n',
    'data/train-00000-of-00001.jsonl': '{"text":"a","label":0}\n{"text":"b","label":1}',
    'data/test-00000-of-00001.jsonl': '{"text":"c","label":1}',
  }

  async function hubWithMails() {
    const hub = await startHub()
    onTestFinished(hub.stop)
    hub.update(id, files, 'dataset')
    return {
      hub,
      settings: {
        endpoint: hub.endpoint,
        cacheDir: await temporaryFolder(),
        retryDelay: 1,
        token: false,
      } as const,
    }
  }

  test('into the cache, and offline out of it; streamed without it', async () => {
    const { hub, settings } = await hubWithMails()
    const stream = await loadDataset(id, { ...settings, split: 'train', streaming: true })
    expect((await stream.toDataset()).column('text')).toEqual(['a', 'b'])
    const { train, test: held } = await loadDataset(id, settings)
    expect([train.length, held.length]).toEqual([2, 1])
    await hub.stop()
    const offline = await loadDataset(id, { ...settings, localFilesOnly: true, split: 'test' })
    expect(offline.at(0)).toEqual({ text: 'c', label: 1 })
  })

  test('a data set that is not there', async () => {
    const { settings } = await hubWithMails()
    await expect(loadDataset('owner/none', settings)).rejects.toThrow(/^\[hub\] [^\n]*owner\/none/)
  })
})
