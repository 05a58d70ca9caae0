import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { build, type PreviewServer, preview } from 'vite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openBrowser } from '../../scripts/browser/chromium.ts'
import { browserAvailable } from '../helpers/browser.ts'

const root = fileURLToPath(new URL('../../examples/browser', import.meta.url))

describe.skipIf(!browserAvailable())('examples/browser, bundled', () => {
  let outDir: string
  let browser: Browser
  const servers: PreviewServer[] = []

  beforeAll(async () => {
    outDir = await mkdtemp(join(tmpdir(), 'tunesmith-example-'))
    await build({ root, logLevel: 'error', build: { outDir } })
    browser = await openBrowser()
  })
  afterAll(async () => {
    await browser?.close()
    for (const server of servers) await server.close()
    await rm(outDir, { recursive: true, force: true })
  })

  /** The built page, served with the headers of the example's config or without any. */
  async function open(withHeaders: boolean): Promise<Page> {
    const server = await preview({
      root,
      logLevel: 'error',
      build: { outDir },
      preview: { host: '127.0.0.1', port: 0, ...(withHeaders ? {} : { headers: { 'X-Headers': 'none' } }) },
      ...(withHeaders ? {} : { configFile: false }),
    })
    servers.push(server)
    const page = await browser.newPage()
    await page.goto(server.resolvedUrls!.local[0])
    return page
  }

  test('holds the worker and the tokenizer, and nothing of Dawn', async () => {
    const names = await readdir(join(outDir, 'assets'))
    expect(names).toContainEqual(expect.stringMatching(/^worker-.*\.js$/))
    expect(names).toContainEqual(expect.stringMatching(/^tokenizers-.*\.wasm$/))
    for (const name of names.filter((n) => n.endsWith('.js')))
      expect(await readFile(join(outDir, 'assets', name), 'utf8')).not.toContain('dawn.node')
  })

  test.each([true, false])('trains, classifies and generates (headers: %s)', async (withHeaders) => {
    const page = await open(withHeaders)
    const device = withHeaders ? /^cpu, [2-9]\d* threads/ : /^cpu, 1 thread.*headers of vite\.config\.ts/
    await page.waitForFunction(`document.getElementById('device').textContent !== 'starting…'`)
    expect(await page.textContent('#device')).toMatch(device)
    await page.click('#train')
    await page.waitForSelector('#label:not(:empty)', { timeout: 60_000 })
    const [, spam] = /spam ([\d.]+)/.exec((await page.textContent('#label')) ?? '') ?? []
    expect(Number(spam)).toBeGreaterThan(0.5)
    expect(await page.textContent('#training')).toMatch(/^step 10 of 10, loss 0\.\d+$/)
    await page.click('#generate')
    await page.waitForFunction(`document.getElementById('story').textContent.length > 80`)
    expect(await page.textContent('#story')).toMatch(/^The sea\S* \w/)
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT, fullPage: true })
  })
})
