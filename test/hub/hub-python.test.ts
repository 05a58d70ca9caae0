/** The local Hub held against Python's huggingface_hub, and the two caches against each other. */
import { readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createRepo, download, openCheckpoint, snapshotDownload, upload } from '../../hub/index.ts'
import { startHub } from './local-hub/hub.ts'
import { hasPython, runPython } from './python.ts'
import { temporaryFolder } from './temporary-folder.ts'
import { id, isolateEnvironment, model, needed, setup, token, weights } from './tiny-model.ts'

const isThere = hasPython('huggingface_hub')
if (!isThere)
  console.log('interoperability with huggingface_hub is not tested: there is no Python that has it')

beforeEach(isolateEnvironment)

/** Runs a program with huggingface_hub pointed at `endpoint`; its arguments are in `args`, its result is what it prints. */
function python(program: string, endpoint: string, args: object = {}): Promise<unknown> {
  vi.stubEnv('HF_ENDPOINT', endpoint)
  vi.stubEnv('HF_HUB_DISABLE_XET', '1')
  vi.stubEnv('HF_HUB_DISABLE_PROGRESS_BARS', '1')
  return runPython(
    `import json, os, sys\nargs = json.loads(sys.argv[1])\nfrom huggingface_hub import *\n${program}`,
    JSON.stringify(args),
  )
}

describe.runIf(isThere)('the local Hub', () => {
  test('is a Hub for huggingface_hub: reading', async () => {
    const { hub, cacheDir } = await setup({ pageSize: 3 })
    const program = `
from huggingface_hub.utils import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError
api = HfApi()
info = api.model_info('${id}')
def fails(kind, call):
    try:
        call()
    except kind:
        return True
    return False
print(json.dumps({
  'sha': info.sha, 'files': [s.rfilename for s in info.siblings], 'tag': info.pipeline_tag,
  'tree': [[f.path, f.size, f.lfs.sha256 if f.lfs else None] for f in api.list_repo_tree('${id}', recursive=True) if hasattr(f, 'size')],
  'exists': [api.file_exists('${id}', 'config.json'), api.file_exists('${id}', 'gone'), api.repo_exists('a/gone')],
  'config': open(hf_hub_download('${id}', 'config.json', cache_dir=args['cache'])).read(),
  'weights': os.path.getsize(hf_hub_download('${id}', 'model.safetensors', cache_dir=args['cache'])),
  'snapshot': sorted(os.listdir(snapshot_download('${id}', cache_dir=args['cache']))),
  'missing': [
    fails(EntryNotFoundError, lambda: hf_hub_download('${id}', 'gone', cache_dir=args['cache'])),
    fails(RevisionNotFoundError, lambda: hf_hub_download('${id}', 'config.json', revision='gone', cache_dir=args['cache'])),
    fails(RepositoryNotFoundError, lambda: api.model_info('a/gone')),
  ],
}))`
    expect(await python(program, hub.endpoint, { cache: cacheDir })).toEqual({
      sha: hub.commit,
      files: Object.keys(model),
      tag: 'text-classification',
      tree: expect.arrayContaining([
        ['config.json', 21, null],
        ['model.safetensors', weights.length, expect.stringMatching(/^[0-9a-f]{64}$/)],
      ]),
      exists: [true, false, false],
      config: model['config.json'],
      weights: weights.length,
      snapshot: [...new Set(Object.keys(model).map((path) => path.split('/')[0]))].sort(),
      missing: [true, true, true],
    })
  })

  test('is a Hub for huggingface_hub: writing, which we see', async () => {
    const hub = await startHub({ tokens: { [token]: 'write' } })
    onTestFinished(hub.stop)
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'config.json'), '{}')
    await writeFile(join(folder, 'README.md'), '---\nlicense: mit\n---\n# Hello\n')
    await writeFile(join(folder, 'model.safetensors'), weights)
    const program = `
api = HfApi(token=args['token'])
api.create_repo('me/from-python', private=True)
first = api.upload_folder(repo_id='me/from-python', folder_path=args['folder'])
second = api.upload_file(repo_id='me/from-python', path_or_fileobj=b'more', path_in_repo='sub/more.txt', commit_message='More')
third = api.delete_file('README.md', 'me/from-python')
print(json.dumps([first.oid, second.oid, third.oid, api.whoami()['name']]))`
    const [first, , third, name] = (await python(program, hub.endpoint, { token, folder })) as string[]
    expect(name).toBe('me')
    const settings = { endpoint: hub.endpoint, token, cacheDir: await temporaryFolder(), include: '*' }
    const last = await snapshotDownload('me/from-python', settings)
    expect(last.endsWith(third)).toBe(true)
    expect((await readdir(last)).sort()).toEqual([
      '.gitattributes',
      'config.json',
      'model.safetensors',
      'sub',
    ])
    expect(await readFile(join(last, 'sub/more.txt'), 'utf8')).toBe('more')
    const before = await snapshotDownload('me/from-python', { ...settings, revision: first })
    expect(await readFile(join(before, 'README.md'), 'utf8')).toContain('# Hello')
  })

  test('what we upload is seen by huggingface_hub', async () => {
    const hub = await startHub({ tokens: { [token]: 'write' }, partSize: 9000 })
    onTestFinished(hub.stop)
    const settings = { endpoint: hub.endpoint, token }
    await createRepo('me/from-us', settings)
    const files = [
      { path: 'config.json', content: '{"model_type":"bert"}' },
      { path: 'model.safetensors', content: weights },
      { path: 'sub/ünusual name.txt', content: new Blob(['text']) },
    ]
    const { commit } = await upload('me/from-us', files, { ...settings, message: 'Ours' })
    const program = `
folder = snapshot_download('me/from-us', cache_dir=args['cache'], token=args['token'])
print(json.dumps({
  'sha': HfApi().model_info('me/from-us', token=args['token']).sha,
  'config': open(folder + '/config.json').read(),
  'text': open(folder + '/sub/ünusual name.txt').read(),
  'weights': os.path.getsize(folder + '/model.safetensors'),
}))`
    expect(await python(program, hub.endpoint, { cache: await temporaryFolder(), token })).toEqual({
      sha: commit,
      config: '{"model_type":"bert"}',
      text: 'text',
      weights: weights.length,
    })
  })
})

/** What huggingface_hub makes of a cache, offline. */
const scan = `
os.environ['HF_HUB_OFFLINE'] = '1'
import huggingface_hub.constants
info = scan_cache_dir(args['cache'])
[repo] = info.repos
print(json.dumps({
  'warnings': [str(w) for w in info.warnings], 'repo': repo.repo_id,
  'revisions': {r.commit_hash: [sorted(r.refs), sorted(str(f.file_path.relative_to(r.snapshot_path)) for f in r.files)] for r in repo.revisions},
  'found': try_to_load_from_cache('${id}', 'config.json', cache_dir=args['cache']),
  'snapshot': snapshot_download('${id}', cache_dir=args['cache'], local_files_only=True),
  'file': hf_hub_download('${id}', 'model.safetensors', cache_dir=args['cache'], local_files_only=True),
}))`

describe.runIf(isThere)('the cache', () => {
  test.each(['links', 'copies'])('huggingface_hub finds what we downloaded, as %s', async (kind) => {
    const { hub, settings, cacheDir } = await setup()
    if (kind === 'copies') vi.stubEnv('HF_HUB_DISABLE_SYMLINKS', '1')
    const folder = await snapshotDownload(id, settings)
    await download(id, 'onnx/config.json', settings)
    const isLink = await readlink(join(folder, 'config.json')).then(
      () => true,
      () => false,
    )
    expect(isLink).toBe(kind === 'links')
    hub.stop()
    expect(await python(scan, hub.endpoint, { cache: cacheDir })).toEqual({
      warnings: [],
      repo: id,
      revisions: { [hub.commit]: [['main'], [...needed, 'onnx/config.json'].sort()] },
      found: join(folder, 'config.json'),
      snapshot: folder,
      file: join(folder, 'model.safetensors'),
    })
  })

  test('an interrupted download leaves nothing that huggingface_hub takes for a file', async () => {
    const { hub, settings, cacheDir } = await setup()
    hub.intercept((request, response, host) => {
      if (host !== 'store') return false
      response.writeHead(200, { 'Content-Length': String(weights.length) })
      response.write(weights.subarray(0, 9000), () => setTimeout(() => response.destroy(), 50))
      request.resume()
      return true
    })
    await snapshotDownload(id, { ...settings, retries: 0 }).catch(() => {})
    const program = `
info = scan_cache_dir(args['cache'])
print(json.dumps({
  'warnings': len(info.warnings),
  'weights': try_to_load_from_cache('${id}', 'model.safetensors', revision=args['commit'], cache_dir=args['cache']),
  'incomplete': len(info.incomplete_files) if hasattr(info, 'incomplete_files') else 1,
}))`
    expect(await python(program, hub.endpoint, { cache: cacheDir, commit: hub.commit })).toEqual({
      warnings: 0,
      weights: null,
      incomplete: 1,
    })
    // and it completes what we began, in its own way
    hub.intercept(() => false)
    const complete = `print(json.dumps(hf_hub_download('${id}', 'model.safetensors', cache_dir=args['cache'])))`
    const path = (await python(complete, hub.endpoint, { cache: cacheDir })) as string
    expect(new Uint8Array(await readFile(path))).toEqual(weights)
  })

  test.each<[string, string]>([
    ['a snapshot', `snapshot_download('${id}', cache_dir=args['cache'])`],
    [
      'patterns',
      `snapshot_download('${id}', cache_dir=args['cache'], allow_patterns=['*.json', 'model.safetensors'])`,
    ],
    [
      'single files',
      `[hf_hub_download('${id}', f, cache_dir=args['cache']) for f in ['config.json', 'empty.json', 'tokenizer.json', 'model.safetensors']]`,
    ],
  ])('we find what huggingface_hub downloaded: %s', async (_, call) => {
    const { hub, settings, cacheDir } = await setup()
    await python(`${call}\nprint('null')`, hub.endpoint, { cache: cacheDir })
    hub.requests.length = 0
    const offline = { ...settings, localFilesOnly: true }
    const folder = await snapshotDownload(id, offline)
    expect(folder.endsWith(hub.commit)).toBe(true)
    await using reader = await openCheckpoint(folder)
    expect(reader.tensors.size).toBe(1)
    expect(await download(id, 'config.json', offline)).toBe(join(folder, 'config.json'))
    expect(hub.requests).toEqual([])
    expect(await snapshotDownload(id, settings)).toBe(folder)
    expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([])
  })

  test('its list of files says what is missing', async () => {
    const { hub, settings, cacheDir } = await setup()
    await python(`snapshot_download('${id}', cache_dir=args['cache'])\nprint('null')`, hub.endpoint, {
      cache: cacheDir,
    })
    const folder = await snapshotDownload(id, { ...settings, localFilesOnly: true })
    await rm(join(folder, 'tokenizer.json'))
    await expect(snapshotDownload(id, { ...settings, localFilesOnly: true })).rejects.toThrow(
      'the cache lacks "tokenizer.json"',
    )
  })
})
