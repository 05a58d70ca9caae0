import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import {
  createRepo,
  download,
  fileExists,
  formatModelCard,
  HubError,
  listFiles,
  loadModelCard,
  modelInfo,
  openModelFolder,
  openUrl,
  parseModelCard,
  resolveUrl,
  snapshotDownload,
  upload,
} from '../../hub/index.ts'
import { type HubOptions, startHub } from './local-hub/hub.ts'
import { hash } from './local-hub/repository.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { failure, id, isolateEnvironment, model, needed, setup, token, weights } from './tiny-model.ts'

beforeEach(isolateEnvironment)

/** An empty Hub, a token that may write, and a reader without one. */
async function emptyHub(options: HubOptions = {}) {
  const hub = await startHub({ tokens: { [token]: 'write', hf_reader: 'read' }, ...options })
  onTestFinished(hub.stop)
  const cacheDir = await temporaryFolder()
  return {
    hub,
    writer: { endpoint: hub.endpoint, token, retryDelay: 1 },
    reader: { endpoint: hub.endpoint, cacheDir },
  }
}

describe('asking', () => {
  test('modelInfo, listFiles, fileExists', async () => {
    const { hub, settings } = await setup({ pageSize: 3 })
    const info = await modelInfo(id, settings)
    expect(info).toMatchObject({
      id,
      sha: hub.commit,
      author: 'owner',
      private: false,
      gated: false,
      pipelineTag: 'text-classification',
      libraryName: 'transformers',
      files: Object.keys(model),
      cardData: { license: 'apache-2.0' },
    })
    expect(info.lastModified?.getUTCFullYear()).toBe(2026)
    const files = await listFiles(id, settings)
    expect(files.map(({ path }) => path)).toEqual(Object.keys(model))
    expect(files.find(({ path }) => path === 'model.safetensors')).toMatchObject({
      size: weights.length,
      etag: hash('sha256', weights),
      lfs: true,
    })
    expect(await fileExists(id, 'onnx/config.json', settings)).toBe(true)
    expect(await fileExists(id, 'gone.json', settings)).toBe(false)
    expect(await fileExists('owner/gone', 'config.json', settings)).toBe(false)
    expect(await fileExists(id, 'config.json', { ...settings, revision: 'gone' })).toBe(false)
    expect(await failure(modelInfo(id, { ...settings, revision: 'gone' }))).toContain('has no such revision')
    expect(await failure(fileExists(id, 'x', { ...settings, endpoint: 'http://127.0.0.1:9' }))).toContain(
      'cannot reach',
    )
  })

  test('names with unusual characters', async () => {
    const name = 'a folder/100% #1 ?+&é.json'
    const { settings } = await setup({ files: { ...model, [name]: 'fine' } })
    expect(await fileExists(id, name, settings)).toBe(true)
    const path = await download(id, name, settings)
    expect(await readFile(path, 'utf8')).toBe('fine')
    const file = await openUrl(await resolveUrl(id, name, settings))
    expect(new TextDecoder().decode(await file.read(0, 4))).toBe('fine')
  })

  test('a gated model says which page and which variable', async () => {
    const { hub, writer, reader } = await emptyHub()
    hub.update('meta/gated', model)
    hub.repositories.get('models/meta/gated')!.gated = 'manual'
    const page = `${hub.endpoint}/meta/gated`
    expect(await failure(snapshotDownload('meta/gated', reader))).toBe(
      `[hub] access to meta/gated is refused (401), it is gated: log in and accept its terms at ${page}, then set HF_TOKEN to a token from ${hub.endpoint}/settings/tokens`,
    )
    expect(await failure(snapshotDownload('meta/gated', { ...reader, token: 'hf_reader' }))).toBe(
      `[hub] access to meta/gated is refused (403), it is gated: accept its terms at ${page} with the account of the token in HF_TOKEN, or wait until its owners agree`,
    )
    await snapshotDownload('meta/gated', { ...reader, token: writer.token })
    // What is there stays usable without the token, as in Python.
    expect(await snapshotDownload('meta/gated', reader)).toContain('snapshots')
  })

  test('names that one folder cannot hold are refused', async () => {
    const { settings } = await setup({ files: { 'config.json': '{}', 'a.json': '1', 'a.json/b.json': '2' } })
    expect(await failure(snapshotDownload(id, { ...settings, include: '*' }))).toContain(
      'refuses "a.json" and "a.json/b.json" from the server',
    )
  })
})

describe('which files', () => {
  test.each<[string, { include?: string | string[]; exclude?: string | string[] }, string[]]>([
    [
      'one pattern',
      { include: '*.json' },
      ['config.json', 'empty.json', 'onnx/config.json', 'tokenizer.json'],
    ],
    ['a folder', { include: 'onnx/' }, ['onnx/config.json']],
    ['one character, a set', { include: ['?onfig.json', '[a-e]mpty.json'] }, ['config.json', 'empty.json']],
    ['none of a set', { include: '[!c-e]*.json' }, ['onnx/config.json', 'tokenizer.json']],
    ['exclude', { include: '*', exclude: ['*.json', '*.safetensors', '*.bin'] }, ['README.md']],
    [
      'what a model needs but weights',
      { exclude: '*.safetensors' },
      needed.filter((path) => !path.includes('safe')),
    ],
  ])('%s', async (_, choice, expected) => {
    const { settings } = await setup()
    const folder = await openModelFolder(id, { ...settings, ...choice })
    const listed = await Promise.all(
      Object.keys(model).map(async (path) => ((await folder.text(path)) === undefined ? [] : [path])),
    )
    expect(listed.flat().sort()).toEqual([...expected].sort())
  })

  test('a dataset brings all of its files, into a folder of its own', async () => {
    const { hub, writer, reader } = await emptyHub()
    await createRepo('owner/data', { ...writer, repoType: 'dataset' })
    await upload('owner/data', [{ path: 'train.csv', content: 'text,label\n' }], {
      ...writer,
      repoType: 'dataset',
    })
    const path = await download('owner/data', 'train.csv', { ...reader, repoType: 'dataset' })
    expect(path).toContain('datasets--owner--data')
    const folder = await snapshotDownload('owner/data', { ...reader, repoType: 'dataset' })
    expect(await readFile(join(folder, '.gitattributes'), 'utf8')).toContain('lfs')
    expect(hub.requests.some(({ path: asked }) => asked.startsWith('/datasets/owner/data/resolve/'))).toBe(
      true,
    )
    expect(await failure(download('owner/data', 'x', reader))).toContain('neither a folder here nor a model')
  })
})

describe('a tokenizer in the cache', () => {
  const include = ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt', 'config.json']

  test('serves while the Hub cannot be reached, though the model has not all of its possible files', async () => {
    const { hub, settings } = await setup()
    const folder = await snapshotDownload(id, { ...settings, include })
    hub.stop()
    const notices: string[] = []
    const again = snapshotDownload(id, { ...settings, include, onNotice: (text) => void notices.push(text) })
    expect(await again).toBe(folder)
    expect(notices).toEqual([
      expect.stringMatching(/^\[hub\] cannot reach .*; owner\/tiny-model is taken from the cache$/),
    ])
    expect(await failure(snapshotDownload(id, settings))).toContain('cannot reach')
  })

  test('is not used where one of its files is missing', async () => {
    const { hub, settings } = await setup()
    await snapshotDownload(id, { ...settings, include: 'config.json' })
    hub.stop()
    expect(await failure(snapshotDownload(id, { ...settings, include }))).toContain('cannot reach')
    expect(await failure(snapshotDownload(id, { ...settings, include, localFilesOnly: true }))).toContain(
      'the cache lacks "tokenizer.json"',
    )
  })
})

describe('uploading', () => {
  test('a folder is one commit, with large files in LFS', async () => {
    const { hub, writer, reader } = await emptyHub()
    const url = await createRepo('me/new', { ...writer, private: true })
    expect(url).toBe(`${hub.endpoint}/me/new`)
    expect(hub.repositories.get('models/me/new')!.private).toBe(true)
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'sub/.git'), { recursive: true })
    await writeFile(join(folder, 'config.json'), model['config.json'])
    await writeFile(join(folder, 'weights'), weights)
    await symlink('weights', join(folder, 'model.safetensors')) // as in the cache's snapshots
    await writeFile(join(folder, 'sub/notes.md'), 'notes')
    await writeFile(join(folder, 'sub/.git/HEAD'), 'private')
    const progress: number[] = []
    const result = await upload('me/new', folder, {
      ...writer,
      message: 'First try',
      exclude: 'weights',
      onProgress: ({ bytes }) => void progress.push(bytes),
    })
    expect(result.uploaded).toEqual(['config.json', 'model.safetensors', 'sub/notes.md'])
    expect(result.url).toBe(`${hub.endpoint}/me/new/commit/${result.commit}`)
    expect(progress).toEqual([weights.length])
    const repository = hub.repositories.get('models/me/new')!
    expect(repository.commits.size).toBe(3) // empty, .gitattributes, ours
    expect(repository.commits.get(result.commit)!.title).toBe('First try')
    expect(repository.commits.get(result.commit)!.files.get('model.safetensors')!.lfs).toBe(
      hash('sha256', weights),
    )
    const there = await snapshotDownload('me/new', { ...reader, token })
    expect(new Uint8Array(await readFile(join(there, 'model.safetensors')))).toEqual(weights)
  })

  test('what is there already is left out, and nothing new makes no commit', async () => {
    const { hub, writer } = await emptyHub()
    await createRepo('me/new', writer)
    const files = [
      { path: 'config.json', content: '{}' },
      { path: 'model.safetensors', content: weights },
    ]
    const first = await upload('me/new', files, writer)
    hub.requests.length = 0
    const same = await upload('me/new', files, writer)
    expect(same).toMatchObject({ commit: first.commit, uploaded: [], deleted: [] })
    expect(hub.requests.filter(({ method }) => method !== 'GET')).toEqual([])
    const third = await upload('me/new', [{ ...files[0], content: '{"a":1}' }, files[1]], writer)
    expect(third.uploaded).toEqual(['config.json'])
  })

  test('in parts, where the Hub asks for them', async () => {
    const { hub, writer } = await emptyHub({ partSize: 6000 })
    await createRepo('me/new', writer)
    const loaded: number[] = []
    const onProgress = ({ fileLoaded }: { fileLoaded: number }) => void loaded.push(fileLoaded)
    await upload('me/new', [{ path: 'model.safetensors', content: weights }], { ...writer, onProgress })
    expect(hub.requests.filter(({ method }) => method === 'PUT')).toHaveLength(4)
    expect(loaded).toHaveLength(4) // in any order
    expect(loaded.at(-1)).toBe(weights.length)
    expect(hub.objects.get(hash('sha256', weights))).toEqual(Buffer.from(weights))
  })

  test('removes files, goes to a folder, opens a pull request, holds to a parent', async () => {
    const { hub, writer } = await emptyHub()
    await createRepo('me/new', writer)
    const a = await upload('me/new', [{ path: 'old.json', content: '1' }], writer)
    const b = await upload('me/new', [{ path: 'new.json', content: '2' }], {
      ...writer,
      pathInRepo: 'sub',
      deletePatterns: '*.json',
    })
    expect(b).toMatchObject({ uploaded: ['sub/new.json'], deleted: ['old.json'] })
    expect((await listFiles('me/new', writer)).map(({ path }) => path)).toEqual([
      '.gitattributes',
      'sub/new.json',
    ])
    const pr = await upload('me/new', [{ path: 'more.json', content: '3' }], { ...writer, createPr: true })
    expect(pr.pullRequestUrl).toBe(`${hub.endpoint}/me/new/discussions/1`)
    expect(
      (await listFiles('me/new', { ...writer, revision: 'refs/pr/1' })).map(({ path }) => path),
    ).toContain('more.json')
    expect(await fileExists('me/new', 'more.json', writer)).toBe(false)
    const late = upload('me/new', [{ path: 'late.json', content: '4' }], {
      ...writer,
      parentCommit: a.commit,
    })
    expect(await failure(late)).toContain('has newer commits than parentCommit')
  })

  test('goes on after a server in trouble, but never commits twice', async () => {
    const { hub, writer } = await emptyHub()
    await createRepo('me/new', writer)
    const failing = new Set(['PUT', 'preupload', 'batch'])
    hub.intercept((request, response) => {
      const kind = [...failing].find((key) => request.method === key || request.url?.includes(`/${key}`))
      if (!kind) return false
      failing.delete(kind)
      request.resume()
      response.writeHead(503).end()
      return true
    })
    await upload('me/new', [{ path: 'model.safetensors', content: weights }], writer)
    expect(failing.size).toBe(0)
    hub.intercept((request, response) => {
      if (!request.url?.includes('/commit/')) return false
      request.resume()
      response.writeHead(500).end() // who knows what it did
      return true
    })
    hub.requests.length = 0
    expect(await failure(upload('me/new', [{ path: 'b.json', content: '1' }], writer))).toContain(
      'answered 500',
    )
    expect(hub.requests.filter(({ path }) => path.includes('/commit/'))).toHaveLength(1)
  })

  test('an aborted one commits nothing', async () => {
    const { hub, writer } = await emptyHub()
    await createRepo('me/new', writer)
    const abort = new AbortController()
    hub.intercept((request) => {
      if (request.method !== 'PUT') return false
      abort.abort(new Error('stop now'))
      return true
    })
    const files = [{ path: 'model.safetensors', content: weights }]
    await expect(upload('me/new', files, { ...writer, signal: abort.signal })).rejects.toThrow('stop now')
    expect(hub.requests.some(({ path }) => path.includes('/commit/'))).toBe(false)
  })

  test('the token goes to the Hub and not to the storage', async () => {
    const { hub, writer } = await emptyHub({ partSize: 6000 })
    await createRepo('me/new', writer)
    await upload('me/new', [{ path: 'model.safetensors', content: weights }], writer)
    for (const { host, authorization } of hub.requests)
      expect(authorization).toBe(host === 'hub' ? `Bearer ${token}` : undefined)
  })

  test('failures are one line with the fix', async () => {
    const { hub, writer, reader } = await emptyHub()
    const files = [{ path: 'a.json', content: '1' }]
    const lineOf = async (promise: Promise<unknown>) => {
      const message = await failure(promise)
      expect(message).toMatch(/^\[hub\] [^\n]+$/)
      return message
    }
    const tokens = `${hub.endpoint}/settings/tokens`
    expect(await lineOf(createRepo('me/new', reader))).toContain(`make one at ${tokens} and set HF_TOKEN`)
    expect(await lineOf(createRepo('me/new', { ...writer, token: 'hf_reader' }))).toBe(
      `[hub] access to me/new is refused (403: Forbidden: pass a write token); make a token that may do this at ${tokens}`,
    )
    await createRepo('me/new', writer)
    expect(await lineOf(createRepo('me/new', writer))).toContain(
      'there is a model me/new already; choose another name, or set existOk',
    )
    expect(await createRepo('me/new', { ...writer, existOk: true })).toBe(`${hub.endpoint}/me/new`)
    expect(await lineOf(upload('me/new', files, reader))).toContain(`make one at ${tokens}`)
    expect(await lineOf(upload('me/new', files, { ...writer, token: 'hf_reader' }))).toContain('(403')
    expect(await lineOf(upload('me/gone', files, writer))).toContain('(404); check the id')
    expect(await lineOf(upload('me/new', './gone', writer))).toBe('[hub] there is no folder ./gone to upload')
    expect(await lineOf(upload('me/new', files, { ...writer, include: '*.md' }))).toContain(
      'there is nothing to upload',
    )
    expect(await lineOf(upload('me/new', [{ path: '../a', content: '' }], writer))).toContain(
      'is no path in a repository',
    )
    expect(hub.repositories.get('models/me/new')!.commits.size).toBe(2)
  })

  test('a server that repeats the token does not bring it into an error', async () => {
    const { hub, writer } = await emptyHub()
    hub.intercept((request, response) => {
      request.resume()
      response.writeHead(400, { 'X-Error-Message': `bad token ${request.headers.authorization}` }).end()
      return true
    })
    const error = await createRepo('me/new', writer).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(HubError)
    expect((error as HubError).message).toContain('bad token Bearer hf_***')
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(token)
  })
})

describe('model cards', () => {
  const readme =
    '---\nlicense: apache-2.0\ntags:\n  - spam\n  - text-classification\n---\n\n# A title\n\n---\n\nText.\n'

  test('are taken apart and put together again', async () => {
    const card = await parseModelCard(readme)
    expect(card).toEqual({
      data: { license: 'apache-2.0', tags: ['spam', 'text-classification'] },
      text: '# A title\n\n---\n\nText.\n',
    })
    expect(await formatModelCard(card)).toBe(readme)
    expect(await parseModelCard(readme.replaceAll('\n', '\r\n'))).toMatchObject({ data: card.data })
    expect(await parseModelCard('# Only text')).toEqual({ data: {}, text: '# Only text' })
    expect(await formatModelCard({ data: {}, text: 'x' })).toBe('x')
    expect(await parseModelCard('---\n---\ntext')).toEqual({ data: {}, text: 'text' })
    expect(await failure(parseModelCard('---\na: [\n---\n'))).toContain("the card's metadata are no YAML")
    expect(await failure(parseModelCard('---\n- a\n---\n'))).toContain('must be fields with values')
  })

  test('come from the Hub', async () => {
    const { settings } = await setup({ files: { ...model, 'README.md': readme } })
    expect((await loadModelCard(id, settings)).data.license).toBe('apache-2.0')
  })

  test.runIf(hasPython('huggingface_hub'))('are read by huggingface_hub', async () => {
    const data = {
      language: ['en', 'no'],
      license: 'mit',
      tags: ['a: b', '"quoted"', 'yes'],
      base_model: 'x/y',
    }
    const content = await formatModelCard({ data, text: '# Title\n' })
    const program = `
import json, sys
from huggingface_hub import ModelCard
card = ModelCard(sys.argv[1])
print(json.dumps({'data': card.data.to_dict(), 'text': card.text}))`
    expect(await runPython(program, content)).toEqual({ data, text: '\n# Title\n' })
  })
})
