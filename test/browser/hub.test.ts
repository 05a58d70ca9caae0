import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { shutdown } from '../../core/index.ts'
import { openPage } from '../../scripts/browser/open-page.ts'
import { browserAvailable } from '../helpers/browser.ts'
import { localHub } from '../hub/local-hub.ts'
import * as inNode from './program.ts'

const GENERATOR = fileURLToPath(new URL('../../models/generator', import.meta.url))
const PROGRAM = 'test/browser/program'
const id = 'owner/generator'

afterAll(shutdown)

async function hubWithGenerator() {
  const files: Record<string, Uint8Array> = {}
  for (const name of await readdir(GENERATOR)) files[name] = await readFile(join(GENERATOR, name))
  return localHub({ id, files })
}

describe.skipIf(!browserAvailable())('the Hub from a page', () => {
  test('loads a model by its id, keeps it, and reads it again without the network', async () => {
    const hub = await hubWithGenerator()
    await using page = await openPage()
    await page.call(PROGRAM, 'start', 'cpu')
    const text = await page.call<string>(PROGRAM, 'generateFromHub', id, hub.endpoint)
    await inNode.start('cpu')
    const tokenizerAndModel = await inNode.generateFromHub(GENERATOR, hub.endpoint)
    expect(text).toBe(tokenizerAndModel)

    const downloads = () =>
      hub.requests.filter(({ method, host }) => method === 'GET' && host === 'store').length
    expect(downloads()).toBe(1)
    expect(await page.call(PROGRAM, 'generateFromHub', id, hub.endpoint)).toBe(text)
    expect(downloads()).toBe(1)

    hub.stop()
    await page.page.reload()
    await page.call(PROGRAM, 'start', 'cpu')
    expect(await page.call(PROGRAM, 'generateFromHub', id, hub.endpoint, true)).toBe(text)
    const sizes = await page.call<Record<string, number>>(PROGRAM, 'cachedSizes', id, hub.endpoint)
    for (const name of ['config.json', 'tokenizer.json', 'model.safetensors'])
      expect(sizes[name]).toBe((await stat(join(GENERATOR, name))).size)
  })

  test('goes on where a download was cut', async () => {
    const hub = await hubWithGenerator()
    await using page = await openPage()
    await page.call(PROGRAM, 'start', 'cpu')
    const weights = await readFile(join(GENERATOR, 'model.safetensors'))
    let isCut = false
    hub.intercept((request, response, host) => {
      if (host !== 'store' || request.method !== 'GET' || isCut) return false
      isCut = true
      response.writeHead(200, { 'Content-Length': weights.length, 'Access-Control-Allow-Origin': '*' })
      response.write(weights.subarray(0, weights.length / 2), () => response.destroy())
      return true
    })
    expect(await page.call<string>(PROGRAM, 'generateFromHub', id, hub.endpoint)).toMatch(/^The sea/)
    const ranges = hub.requests.filter(({ host, method }) => host === 'store' && method === 'GET')
    expect(ranges.map(({ range }) => range?.replace(/\d+/, 'N'))).toEqual([
      undefined,
      expect.stringMatching(/^bytes=N-/),
    ])
  })

  test('says in one line that the Hub cannot be reached', async () => {
    await using page = await openPage()
    const failing = page.call(PROGRAM, 'generateFromHub', id, 'http://127.0.0.1:9')
    await expect(failing).rejects.toThrow(/\[hub\] .*127\.0\.0\.1:9/)
  })
})
