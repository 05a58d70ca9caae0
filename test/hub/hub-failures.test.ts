import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { download, resolveModel } from '../../hub/index.ts'
import { localHub } from './local-hub.ts'
import { failure, id, isolateEnvironment, model, setup, token } from './tiny-model.ts'

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
    expect(message).toContain('does not know the access token (401); make a new one')
    hub.stop()
    const all = [message, await failure(resolveModel(id, { ...settings, token: wrong }))]
    for (const text of all) expect(text).not.toContain(wrong)
    const broken = await failure(resolveModel(id, { ...settings, token: 'hf_with space' }))
    expect(broken).toContain('has characters that no token has')
    expect(broken).not.toContain('hf_with')
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
      /^\[hub\] "owner\/other" is neither a folder here nor a model on 127\.0\.0\.1:\d+ \(401\); check the id, for a private one set HF_TOKEN \(http\S+\/settings\/tokens\)$/,
    )
    expect(await lineOf(resolveModel(id, { ...settings, revision: 'dev' }))).toContain('has no such revision')
    expect(await lineOf(download(id, 'gone.json', settings))).toContain('has no file "gone.json" among its 8')
    expect(await readdir(cacheDir)).toEqual([])
  })

  test('a private model', async () => {
    const { settings } = await setup({ token })
    expect(await lineOf(resolveModel(id, settings))).toContain(
      '(401); check the id, for a private one set HF_TOKEN',
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
    const secret = await lineOf(resolveModel(id, { ...settings, endpoint: 'http://me:secret@127.0.0.1:9' }))
    expect(secret).toContain('must not hold a name or password')
    expect(secret).not.toContain('secret@')
  })

  test('an answer that is not a Hub', async () => {
    const { hub, settings } = await setup()
    hub.intercept((_, response) => {
      response.end('<html>\nlog in to the airport</html>')
      return true
    })
    expect(await lineOf(resolveModel(id, settings))).toContain('check HF_ENDPOINT')
  })

  test('a model without safetensors', async () => {
    const { settings } = await setup({ files: { 'config.json': '{}', 'model.gguf': 'x' } })
    expect(await lineOf(resolveModel(id, settings))).toContain(
      'has no weights in safetensors or pytorch_model.bin, only model.gguf',
    )
  })

  test.each<{ path?: unknown; oid?: string; size?: number }>([
    { path: '../../evil.json' },
    { path: '/etc/evil.json' },
    { path: 'a\\..\\evil.json' },
    { path: '..' },
    { path: 'a/../../evil.json' },
    { path: 'a/.. /evil.json' },
    { path: 'C:evil.json' },
    { path: 'evil\0.json' },
    { path: './evil.json' },
    { path: 12 },
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
    await lineOf(resolveModel(id, { ...settings, include: '*' }))
    expect(await readdir(cacheDir)).toEqual([])
  })
})
