import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { shutdown } from '../../core/index.ts'
import { localFolder } from '../../hub/index.ts'
import { runModels } from '../../scripts/conformance/models.ts'
import type { CaseResult } from '../../scripts/conformance/safetensors.ts'
import { webgpuAvailable } from '../helpers/webgpu.ts'

const HERE = fileURLToPath(new URL('../goldens/models', import.meta.url))
const SHARED = fileURLToPath(new URL('../../../shared/goldens/models', import.meta.url))

const hasWebGpu = await webgpuAvailable()

async function run(dir: string, device: 'cpu' | 'reference' | 'webgpu', wanted: (path: string) => boolean) {
  const results: CaseResult[] = []
  for await (const result of runModels(await localFolder(dir), { device, wanted })) results.push(result)
  const failures = results
    .filter((r) => r.status === 'failed')
    .map((r) => `${r.case}: ${r.reason?.slice(0, 300)}`)
  return { failures, passed: results.filter((r) => r.status === 'passed').length }
}

afterAll(shutdown)

describe('models against transformers', () => {
  test('on the cpu: every case of the subset', async () => {
    const { failures, passed } = await run(HERE, 'cpu', () => true)
    expect(failures).toEqual([])
    // 5 base, 1 classification, 1 training, 1 packing of BERT; GPT-2; Llama with both spellings of its config
    expect(passed).toBeGreaterThanOrEqual(30)
  })

  test('on the reference: forward, losses, gradients', async () => {
    const { failures, passed } = await run(
      HERE,
      'reference',
      (path) => !path.includes('train_') && !path.includes('old style') && !path.includes('generate/'),
    )
    expect(failures).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(10)
  })

  test.skipIf(!hasWebGpu)('on webgpu: one text classifier with its gradients', async () => {
    const { failures, passed } = await run(HERE, 'webgpu', (path) => path.startsWith('bert-tiny/seq_cls'))
    expect(failures).toEqual([])
    expect(passed).toBe(1)
  })

  test.skipIf(!existsSync(SHARED))('on the cpu: all of the project goldens that are built', async () => {
    const { failures, passed } = await run(SHARED, 'cpu', (path) => /^(bert|gpt2|llama)-/.test(path))
    expect(failures).toEqual([])
    expect(passed).toBeGreaterThanOrEqual(100)
  })
})
