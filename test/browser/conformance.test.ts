import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type OpenPage, openPage } from '../../scripts/browser/open-page.ts'
import type { CaseResult } from '../../scripts/conformance/safetensors.ts'
import { browserAvailable } from '../helpers/browser.ts'
import { runCommand } from '../scripts/run-command.ts'

const HERE = fileURLToPath(new URL('../goldens', import.meta.url))
const SHARED = fileURLToPath(new URL('../../../shared/goldens', import.meta.url))

const goldens = existsSync(SHARED) ? SHARED : HERE

describe.skipIf(!browserAvailable())('conformance in Chromium', () => {
  let page: OpenPage
  beforeAll(async () => {
    page = await openPage([HERE, goldens])
    await page.call('scripts/browser/page', 'start', 'cpu')
  })
  afterAll(() => page?.[Symbol.asyncDispose]())

  async function run(folder: string, suite: string) {
    const url = page.addressOf(folder)
    const results = await page.call<CaseResult[]>('scripts/browser/page', 'runSuite', url, suite)
    const count = (wanted: CaseResult['status']) => results.filter(({ status }) => status === wanted).length
    const failures = results.filter(({ status }) => status === 'failed')
    return { passed: count('passed'), skipped: count('skipped'), failures }
  }

  test('tokenizers: every case, as in Node', async () => {
    const { passed, skipped, failures } = await run(goldens, 'tokenizers')
    expect(failures).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(goldens === SHARED ? 5617 : 634)
    expect(skipped).toBeLessThanOrEqual(12)
  })

  test('safetensors, as from a file', async () => {
    const { passed, failures } = await run(HERE, 'safetensors')
    expect(failures).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(96)
  })

  test('models: forward, training, packing, generation', async () => {
    const { passed, failures } = await run(HERE, 'models')
    expect(failures).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(30)
  })

  test('the command runs a suite there, and fails where a case does', async () => {
    const args = ['conformance', '--goldens', HERE, '--suite', 'safetensors', '--only', 'one*', '--browser']
    const { code, stderr } = await runCommand(args)
    expect(stderr).toMatch(/device: cpu \(.*\), in Chromium/)
    expect(stderr.trimEnd().split('\n').at(-1)).toBe('1 passed, 0 failed, 0 skipped')
    expect(code).toBe(0)
  })
})
