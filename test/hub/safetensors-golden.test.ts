import { existsSync } from 'node:fs'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { localFolder } from '../../hub/index.ts'
import { type CaseResult, runSafetensors } from '../../scripts/conformance/safetensors.ts'
import { temporaryFolder } from './temporary-folder.ts'

const committed = join(import.meta.dirname, '../goldens/safetensors')
const shared = join(import.meta.dirname, '../../../shared/goldens/safetensors')

async function run(folder: string) {
  const results: CaseResult[] = []
  for await (const result of runSafetensors(await localFolder(folder))) results.push(result)
  return { count: results.length, bad: results.filter(({ status }) => status !== 'passed') }
}

describe('safetensors as in Python', () => {
  for (const folder of [committed, shared].filter((folder) => existsSync(folder))) {
    test(`every file of ${folder === shared ? 'the shared goldens' : 'test/goldens'}`, async () => {
      const { count, bad } = await run(folder)
      expect(bad).toEqual([])
      expect(count).toBeGreaterThanOrEqual(96)
    })
  }

  test('the suite finds a wrong byte, a wrong value, a file wrongly accepted or refused', async () => {
    const folder = await temporaryFolder()
    await cp(committed, folder, { recursive: true })
    const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'))
    const entry = (file: string) => index.files.find((golden: { file: string }) => golden.file === file)
    entry('one.safetensors').tensors.w.base64 = Buffer.alloc(24).toString('base64')
    entry('dtype_F16.safetensors').values.t_F16[0] += 1
    entry('scalar.safetensors').ok = false
    entry('bad_overlap.safetensors').ok = true
    await writeFile(join(folder, 'index.json'), JSON.stringify(index))
    const expected = JSON.parse(await readFile(join(folder, 'sharded/expected.json'), 'utf8'))
    expected.tensors['head.bias'].sum += 1
    await writeFile(join(folder, 'sharded/expected.json'), JSON.stringify(expected))
    const { bad } = await run(folder)
    expect(bad.map((result) => result.case).sort()).toEqual([
      'bad_overlap.safetensors',
      'dtype_F16.safetensors',
      'one.safetensors',
      'scalar.safetensors',
      'sharded',
      'special_floats.safetensors', // JSON.stringify above wrote its -0 as 0
    ])
    for (const { reason } of bad) expect(reason).toBeTruthy()
  })
})
