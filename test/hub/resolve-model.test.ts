import { chmod, copyFile, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { download, openCheckpoint, resolveModel } from '../../hub/index.ts'
import { nodeRepoCache } from '../../hub/node-cache.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { failure, id, isolateEnvironment, model, needed, setup, weights } from './tiny-model.ts'

beforeEach(isolateEnvironment)

describe('folders', () => {
  test('are taken as they are', async () => {
    const folder = await temporaryFolder()
    expect(await resolveModel(folder)).toBe(folder)
  })

  test.each(['./nowhere', '/nowhere/at/all', 'a/b/c', '~/model', 'C:\\model'])(
    '%s, which is missing',
    async (path) => {
      expect(await failure(resolveModel(path))).toBe(`[hub] there is no folder ${path}`)
    },
  )

  test('a file is not a folder', async () => {
    const path = join(await temporaryFolder(), 'model.safetensors')
    await writeFile(path, '')
    expect(await failure(resolveModel(path))).toContain('is a file; give the folder of the model')
  })

  test.each(['', 'a b', '-x/y', 'x/y.', 'x--y/z', 'x/y.git', `x/${'y'.repeat(100)}`, 'x/..'])(
    '%j is no id',
    async (bad) => {
      const dir = await temporaryFolder()
      expect(await failure(download(bad, 'config.json', { cacheDir: dir }))).toContain(
        'is neither a folder nor the id',
      )
      expect(await readdir(dir)).toEqual([])
    },
  )

  test.each(['../x', 'a//b', '', 'a b', '/main'])('%j is no revision', async (revision) => {
    expect(await failure(resolveModel(id, { revision }))).toContain('is not a revision')
  })
})

describe('downloading', () => {
  test('brings what a model needs into the layout of the Hugging Face cache', async () => {
    const { hub, settings, repo } = await setup()
    const folder = await resolveModel(id, settings)
    expect(folder).toBe(join(repo, 'snapshots', hub.commit))
    expect((await readdir(folder)).sort()).toEqual(needed)
    expect(await readFile(join(repo, 'refs/main'), 'utf8')).toBe(hub.commit)
    expect(await readFile(join(folder, 'config.json'), 'utf8')).toBe(model['config.json'])
    expect(await readlink(join(folder, 'config.json'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/)
    expect(await readlink(join(folder, 'model.safetensors'))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/)
    expect(await readdir(join(repo, 'blobs'))).toHaveLength(4)
    await using reader = await openCheckpoint(folder)
    expect((await reader.readFloat32('w'))[4999]).toBe(2)
  })

  test('asks only for what is missing', async () => {
    const { hub, settings } = await setup()
    await resolveModel(id, settings)
    hub.requests.length = 0
    await resolveModel(id, settings)
    expect(hub.requests.map(({ path }) => path)).toEqual([`/api/models/${id}/revision/main`])
    hub.requests.length = 0
    await resolveModel(id, { ...settings, revision: hub.commit })
    expect(hub.requests).toEqual([])
  })

  test('follows the branch, and keeps contents that did not change', async () => {
    const { hub, settings } = await setup()
    const old = await resolveModel(id, settings)
    hub.update({ ...model, 'config.json': '{"model_type":"gpt2"}' })
    hub.requests.length = 0
    const folder = await resolveModel(id, settings)
    expect(folder).not.toBe(old)
    expect(await readFile(join(folder, 'config.json'), 'utf8')).toContain('gpt2')
    expect(await readFile(join(old, 'config.json'), 'utf8')).toContain('bert')
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toHaveLength(1)
    expect(hub.requests.filter(({ host }) => host === 'store')).toEqual([])
  })

  test('reads a listing of several pages', async () => {
    const { settings } = await setup({ pageSize: 3 })
    expect((await readdir(await resolveModel(id, settings))).sort()).toEqual(needed)
  })

  test('takes the shards of a model in shards', async () => {
    const shard = (n: number) => `model-0000${n}-of-00002.safetensors`
    const index = JSON.stringify({ weight_map: { a: shard(1), b: shard(2) } })
    const files = {
      [shard(1)]: weights,
      [shard(2)]: weights,
      'other.safetensors': weights,
      'config.json': '{}',
    }
    const { settings } = await setup({ files: { ...files, 'model.safetensors.index.json': index } })
    const names = await readdir(await resolveModel(id, settings))
    expect(names.sort()).toEqual(['config.json', shard(1), shard(2), 'model.safetensors.index.json'])
  })

  test('brings the files asked for, by pattern or by name', async () => {
    const { settings } = await setup()
    const folder = await resolveModel(id, { ...settings, include: ['*/config.json', 'token?zer.json'] })
    expect((await readdir(folder, { recursive: true })).sort()).toEqual([
      'onnx',
      'onnx/config.json',
      'tokenizer.json',
    ])
    expect(await readlink(join(folder, 'onnx/config.json'))).toMatch(/^(\.\.\/){3}blobs\//)
    const path = await download(id, 'README.md', settings)
    expect(await readFile(path, 'utf8')).toBe('# tiny')
    expect(await failure(download(id, '*.md', settings))).toContain('is a pattern')
  })

  test('reports progress up to the whole', async () => {
    const { settings } = await setup()
    const seen: { file: string; bytes: number; totalBytes: number }[] = []
    await resolveModel(id, { ...settings, onProgress: (progress) => void seen.push(progress) })
    const total = needed.reduce((sum, name) => sum + model[name as keyof typeof model].length, 0)
    expect(seen.every(({ totalBytes }) => totalBytes === total)).toBe(true)
    expect(seen.at(-1)!.bytes).toBe(total)
    expect(seen.map(({ bytes }) => bytes)).toEqual(seen.map(({ bytes }) => bytes).sort((a, b) => a - b))
    expect([...new Set(seen.map(({ file }) => file))].sort()).toEqual(needed)
  })

  test('copies where there are no links', async () => {
    const cacheDir = await temporaryFolder()
    const cache = nodeRepoCache({ type: 'model', id }, { cacheDir, symlinks: true }, [
      async () => {
        throw Object.assign(new Error('operation not permitted'), { code: 'EPERM' })
      },
      (blob, _, temporary) => copyFile(blob, temporary),
    ])
    const partial = await cache.openPartial('abc')
    await partial.append(new TextEncoder().encode('content'))
    await partial.complete()
    await cache.place('c'.repeat(40), 'sub/file.json', 'abc')
    const path = join(cacheDir, 'models--owner--tiny-model/snapshots', 'c'.repeat(40), 'sub/file.json')
    expect(await readFile(path, 'utf8')).toBe('content')
    await expect(readlink(path)).rejects.toThrow('EINVAL')
  })
})

test('of an older model without safetensors, what PyTorch saved', async () => {
  const files = { ...model, 'pytorch_model.bin': 'x', 'training_args.bin': 'x', 'tf_model.h5': 'x' }
  const { 'model.safetensors': _, 'model.fp16.safetensors': _half, ...old } = files
  const { settings } = await setup({ files: old })
  const folder = await resolveModel(id, settings)
  expect(await readdir(folder)).toContain('pytorch_model.bin')
  expect(await readdir(folder)).not.toContain('training_args.bin')
  expect(await resolveModel(id, { ...settings, localFilesOnly: true })).toBe(folder)
})

describe('without the network', () => {
  test('the cache serves while the Hub cannot be reached', async () => {
    const { hub, settings } = await setup()
    const folder = await resolveModel(id, settings)
    hub.stop()
    expect(await resolveModel(id, settings)).toBe(folder)
    expect(await download(id, 'config.json', settings)).toBe(join(folder, 'config.json'))
    expect(await failure(download(id, 'README.md', settings))).toContain('cannot reach')
  })

  test.each(['option', 'variable'])('nothing is asked when the %s says so', async (way) => {
    const { hub, settings } = await setup()
    const folder = await resolveModel(id, settings)
    hub.requests.length = 0
    if (way === 'variable') vi.stubEnv('HF_HUB_OFFLINE', '1')
    const offline = way === 'option' ? { ...settings, localFilesOnly: true } : settings
    expect(await resolveModel(id, offline)).toBe(folder)
    expect(await download(id, 'tokenizer.json', offline)).toBe(join(folder, 'tokenizer.json'))
    expect(await failure(download(id, 'README.md', offline))).toContain('the cache lacks "README.md"')
    expect(await failure(resolveModel('owner/other', offline))).toContain('is not in the cache')
    expect(await failure(resolveModel(id, { ...offline, revision: 'dev' }))).toContain(
      '(dev) is not in the cache',
    )
    expect(hub.requests).toEqual([])
  })

  test('half a model in the cache is not taken for a whole one', async () => {
    const { hub, settings } = await setup()
    await download(id, 'config.json', settings)
    hub.stop()
    expect(await failure(resolveModel(id, settings))).toContain('cannot reach')
    const offline = { ...settings, localFilesOnly: true }
    expect(await failure(resolveModel(id, offline))).toContain('the cache lacks "empty.json"')
  })

  test('HF_HOME says where the cache is', async () => {
    const { hub } = await setup()
    const home = await temporaryFolder()
    vi.stubEnv('HF_HOME', home)
    vi.stubEnv('HF_ENDPOINT', hub.endpoint)
    expect(await resolveModel(id)).toBe(join(home, 'hub/models--owner--tiny-model/snapshots', hub.commit))
  })

  test.skipIf(process.getuid?.() === 0)('a cache that cannot be written to serves what it has', async () => {
    const { settings, repo } = await setup()
    const folder = await resolveModel(id, settings)
    await chmod(repo, 0o555)
    expect(await resolveModel(id, settings)).toBe(folder)
  })
})

describe.runIf(hasPython('huggingface_hub'))('shared with Python', () => {
  test('huggingface_hub finds what we downloaded', async () => {
    const { hub, settings, cacheDir } = await setup()
    const folder = await resolveModel(id, settings)
    const program = `
import json, os, sys
os.environ['HF_HUB_OFFLINE'] = '1'
from huggingface_hub import try_to_load_from_cache, scan_cache_dir, snapshot_download
info = scan_cache_dir(sys.argv[1])
[repo] = info.repos
[revision] = repo.revisions
print(json.dumps({
  'config': try_to_load_from_cache('${id}', 'config.json', cache_dir=sys.argv[1]),
  'snapshot': snapshot_download('${id}', cache_dir=sys.argv[1]),
  'warnings': len(info.warnings), 'commit': revision.commit_hash, 'refs': sorted(revision.refs), 'files': revision.nb_files,
}))`
    expect(await runPython(program, cacheDir)).toEqual({
      config: join(folder, 'config.json'),
      snapshot: folder,
      warnings: 0,
      commit: hub.commit,
      refs: ['main'],
      files: needed.length,
    })
  })

  test('we find what huggingface_hub downloaded', async () => {
    const { hub, settings, cacheDir } = await setup()
    const program = `
import json, os, sys
os.environ.update(HF_ENDPOINT=sys.argv[2], HF_HUB_DISABLE_XET='1')
from huggingface_hub import snapshot_download
print(json.dumps(snapshot_download('${id}', cache_dir=sys.argv[1], allow_patterns=['*.json', 'model.safetensors'])))`
    const folder = await runPython(program, cacheDir, hub.endpoint)
    hub.requests.length = 0
    expect(await resolveModel(id, { ...settings, localFilesOnly: true })).toBe(folder)
    expect(hub.requests).toEqual([])
    await resolveModel(id, settings)
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([])
    await using reader = await openCheckpoint(await resolveModel(id, settings))
    expect(reader.tensors.size).toBe(1)
  })
})
