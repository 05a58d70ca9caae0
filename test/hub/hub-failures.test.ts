import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { download, openCheckpoint, resolveModel } from '../../hub/index.ts'
import { localHub } from './local-hub.ts'
import { failure, id, isolateEnvironment, model, setup, token, weights } from './tiny-model.ts'

beforeEach(isolateEnvironment)

describe('the token', () => {
  test('is sent to the Hub and not to where it redirects', async () => {
    const { hub, settings } = await setup({ token })
    await resolveModel(id, { ...settings, token })
    const sent = (host: string) =>
      new Set(
        hub.requests.filter((request) => request.host === host).map(({ authorization }) => authorization),
      )
    expect(sent('hub')).toEqual(new Set([`Bearer ${token}`]))
    expect(sent('store')).toEqual(new Set([undefined]))
  })

  test('is not sent to where a listing continues', async () => {
    const { hub, settings } = await setup({ token })
    const elsewhere = await localHub({ id, files: model })
    hub.intercept((request, response) => {
      if (!request.url?.includes('/tree/')) return false
      const next = `${elsewhere.endpoint}/api/models/${id}/tree/${elsewhere.commit}`
      response.writeHead(200, { 'Content-Type': 'application/json', Link: `<${next}>; rel="next"` }).end('[]')
      return true
    })
    await resolveModel(id, { ...settings, token })
    expect(elsewhere.requests.map(({ authorization }) => authorization)).toEqual([undefined])
  })

  test('comes from HF_TOKEN, or from the file of the login', async () => {
    const { settings, cacheDir } = await setup({ token })
    vi.stubEnv('HF_TOKEN', token)
    await download(id, 'config.json', settings)
    vi.stubEnv('HF_TOKEN', undefined)
    await writeFile(join(cacheDir, 'token'), `${token}\n`)
    vi.stubEnv('HF_TOKEN_PATH', join(cacheDir, 'token'))
    await download(id, 'README.md', settings)
  })

  test('is in no error', async () => {
    const { hub, settings } = await setup({ token })
    const wrong = 'hf_wrongwrong'
    const message = await failure(resolveModel(id, { ...settings, token: wrong }))
    expect(message).toContain('the token given may not read it')
    hub.stop()
    const all = [message, await failure(resolveModel(id, { ...settings, token: wrong }))]
    for (const text of all) expect(text).not.toContain(wrong)
    expect(await failure(resolveModel(id, { ...settings, token: 'mistyped' }))).toContain(
      'must begin with hf_',
    )
  })
})

describe('failures are one line with the fix', () => {
  const lineOf = async (promise: Promise<unknown>) => {
    const message = await failure(promise)
    expect(message).toMatch(/^\[hub\] [^\n]+$/)
    return message
  }

  test('an unknown model, revision or file', async () => {
    const { settings, cacheDir } = await setup()
    expect(await lineOf(resolveModel('owner/other', settings))).toMatch(
      /^\[hub\] "owner\/other" is neither a folder here nor a model on 127\.0\.0\.1:\d+ \(404\); check the id, for a private model set HF_TOKEN$/,
    )
    expect(await lineOf(resolveModel(id, { ...settings, revision: 'dev' }))).toContain('has no such revision')
    expect(await lineOf(download(id, 'gone.json', settings))).toContain('has no file "gone.json" among its 8')
    expect(await readdir(cacheDir)).toEqual([])
  })

  test('a private model', async () => {
    const { settings } = await setup({ token })
    expect(await lineOf(resolveModel(id, settings))).toContain(
      '(401); check the id, for a private model set HF_TOKEN',
    )
  })

  test.each<[number, string, string]>([
    [403, 'GatedRepo', 'accept its terms at'],
    [401, 'GatedRepo', 'accept its terms at'],
    [429, '', 'asks to slow down (429)'],
    [503, '', 'answered 503'],
  ])('status %i %s', async (status, code, reason) => {
    const { hub, settings } = await setup()
    hub.intercept((_, response) => {
      response.writeHead(status, code ? { 'X-Error-Code': code } : {}).end('<html>')
      return true
    })
    expect(await lineOf(resolveModel(id, settings))).toContain(reason)
  })

  test('no network', async () => {
    const { hub, settings } = await setup()
    hub.stop()
    expect(await lineOf(resolveModel(id, settings))).toMatch(
      /cannot reach 127\.0\.0\.1:\d+ \(ECONNREFUSED\); check the network, set HF_ENDPOINT/,
    )
    expect(await lineOf(resolveModel(id, { ...settings, endpoint: 'nonsense' }))).toContain(
      'is not a URL; check HF_ENDPOINT',
    )
  })

  test('an answer that is not a Hub', async () => {
    const { hub, settings } = await setup()
    hub.intercept((_, response) => {
      response.end('<html>\nlog in to the airport</html>')
      return true
    })
    expect(await lineOf(resolveModel(id, settings))).toContain('check HF_ENDPOINT')
  })

  test('a model without weights that are read', async () => {
    const { settings } = await setup({ files: { 'config.json': '{}', 'tf_model.h5': 'x' } })
    expect(await lineOf(resolveModel(id, settings))).toContain(
      'has no weights in safetensors or pytorch_model.bin, only tf_model.h5',
    )
  })

  test.each([
    { path: '../../evil.json' },
    { path: '/etc/evil.json' },
    { path: 'a\\..\\evil.json' },
    { oid: '../../evil' },
    { size: -1 },
  ])('a listing with %j', async (change) => {
    const { hub, settings, cacheDir } = await setup()
    hub.intercept((request, response) => {
      if (!request.url?.includes('/tree/')) return false
      const entry = { type: 'file', path: 'config.json', size: 2, oid: 'a'.repeat(40), ...change }
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify([entry]))
      return true
    })
    await lineOf(resolveModel(id, { ...settings, files: ['*'] }))
    expect(await readdir(cacheDir)).toEqual([])
  })
})

describe('interruptions', () => {
  /** Sends the weights as far as `bytes`, announcing `length`, then drops the connection or ends. */
  async function cutting(bytes: number, length: number | undefined) {
    const context = await setup()
    context.hub.intercept((request, response) => {
      if (!request.url?.endsWith('/model.safetensors')) return false
      response.writeHead(200, length === undefined ? {} : { 'Content-Length': String(length) })
      response.write(weights.subarray(0, bytes), () =>
        length === undefined ? response.end() : response.destroy(),
      )
      return true
    })
    return context
  }

  test.each<[string, number, number | undefined]>([
    ['a cut connection', 1000, weights.length],
    ['a body that ends too early', 1000, undefined],
  ])('%s leaves nothing that looks complete', async (_, bytes, length) => {
    const { hub, settings, repo } = await cutting(bytes, length)
    expect(await failure(resolveModel(id, settings))).toMatch(/^\[hub\] model\.safetensors [^\n]*; try again/)
    const files = (await readdir(repo, { recursive: true })).join('\n')
    expect(files).not.toMatch(/model\.safetensors|refs|tmp|[0-9a-f]{64}/)
    hub.intercept(() => false)
    await using reader = await openCheckpoint(await resolveModel(id, settings))
    expect(reader.tensors.size).toBe(1)
  })

  test('a body that is too long is refused', async () => {
    const { hub, settings } = await setup()
    hub.intercept((request, response) => {
      if (!request.url?.endsWith('/config.json')) return false
      response.end(`${model['config.json']} `)
      return true
    })
    expect(await failure(resolveModel(id, settings))).toContain(
      'config.json came with more than its 21 bytes',
    )
  })

  test('an aborted download ends with the reason of the signal', async () => {
    const { hub, settings, repo } = await setup()
    const abort = new AbortController()
    hub.intercept((request, response) => {
      if (!request.url?.endsWith('/model.safetensors')) return false
      response.writeHead(200, { 'Content-Length': String(weights.length) })
      response.write(weights.subarray(0, 1000), () => abort.abort(new Error('stop now')))
      return true
    })
    await expect(resolveModel(id, { ...settings, signal: abort.signal })).rejects.toThrow('stop now')
    expect((await readdir(repo, { recursive: true })).join('\n')).not.toMatch(/model\.safetensors|refs|tmp/)
    await expect(resolveModel(id, { ...settings, signal: abort.signal })).rejects.toThrow('stop now')
  })
})
