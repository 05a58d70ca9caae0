import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { shutdown } from '../../core/index.ts'
import { type OpenPage, openPage } from '../../scripts/browser/open-page.ts'
import { browserAvailable } from '../helpers/browser.ts'
import { distance } from '../optim/golden.ts'
import * as inNode from './program.ts'

const ENCODER = fileURLToPath(new URL('../../models/encoder', import.meta.url))
const GENERATOR = fileURLToPath(new URL('../../models/generator', import.meta.url))
const PROGRAM = 'test/browser/program'

type Program = typeof inNode
type Result<K extends keyof Program> = Awaited<ReturnType<Program[K]>>

/** The functions of program.ts, called in a page. */
const callsIn =
  (page: OpenPage) =>
  <K extends keyof Program>(name: K, ...args: Parameters<Program[K]>): Promise<Result<K>> =>
    page.call<Result<K>>(PROGRAM, name, ...args)

afterAll(shutdown)

describe.skipIf(!browserAvailable()).each([
  { name: 'a page that shares memory with workers', alone: false, device: 'cpu, 2 threads' },
  { name: 'a page that may not', alone: true, device: 'cpu, 1 thread,' },
])('$name', ({ alone, device }) => {
  let page: OpenPage
  let call: ReturnType<typeof callsIn>

  beforeAll(async () => {
    page = await openPage([], { alone })
    call = callsIn(page)
    await inNode.start('cpu', { threads: 2 })
    expect(await call('start', 'cpu', { threads: 2 })).toContain(device)
  })
  afterAll(() => page?.[Symbol.asyncDispose]())

  test('computes every op and its gradients to the same bits as Node', async () => {
    const there = await call('opOutcomes')
    expect(Object.keys(there).length).toBeGreaterThan(80)
    expect(there).toEqual(await inNode.opOutcomes())
  })

  test('shares large products, and reads without waiting', async () => {
    expect(await call('bigProduct')).toEqual(Array(11).fill(256 ** 3))
  })

  test('fine-tunes the encoder from its URL: the same losses, the same predictions', async () => {
    const there = await call('fineTune', '/models/encoder')
    expect(there.losses).toHaveLength(4)
    expect(there).toEqual(await inNode.fineTune(ENCODER))
  })

  test('generates and streams the same text', async () => {
    const there = await call('generate', '/models/generator')
    expect(there.pieces.length).toBeGreaterThan(5)
    expect(there).toEqual(await inNode.generate(GENERATOR))
  })

  test('reads one tensor of a file by range, without the rest', async () => {
    const name = 'embeddings.LayerNorm.weight'
    const requests: (string | undefined)[] = []
    page.page.on('request', (request) => {
      if (request.url().endsWith('model.safetensors')) requests.push(request.headers().range)
    })
    const url = page.addressOf(`${ENCODER}/model.safetensors`)
    expect(await call('tensorSum', url, name)).toBe(
      await inNode.tensorSum(`${ENCODER}/model.safetensors`, name),
    )
    page.page.removeAllListeners('request')
    expect(requests.length).toBeGreaterThan(0)
    for (const range of requests) expect(range).toMatch(/^bytes=\d+-\d+$/)
  })

  test('says in one line that there is no such model', async () => {
    expect(await call('missingModel', './models/none')).toMatch(
      /^\[tokenizer\] http:.*\/models\/none has no tokenizer\.json/,
    )
  })

  test('keeps its memory over many steps', async () => {
    expect(await call('memoryGrowth')).toBe(0)
  })
})

describe.skipIf(!browserAvailable())('off the main thread', () => {
  test('a worker leads while the page only waits', async () => {
    await using page = await openPage()
    const call = callsIn(page)
    expect(await call('start', 'cpu', { threads: 2, mainThread: false })).toContain('off the main thread')
    await inNode.start('cpu', { threads: 2 })
    const names = ['matmul', 'softmax', 'layerNorm']
    expect(await call('opOutcomes', names)).toEqual(await inNode.opOutcomes(names))
  })

  test('needs shared memory, and says which headers give it', async () => {
    await using page = await openPage([], { alone: true })
    await expect(callsIn(page)('start', 'cpu', { mainThread: false })).rejects.toThrow(
      'Cross-Origin-Embedder-Policy: require-corp',
    )
  })
})

describe.skipIf(!browserAvailable())('WebGPU in Chromium', () => {
  test('ops, gradients and the update of a few rows agree with the reference', async (context) => {
    await using page = await openPage()
    const call = callsIn(page)
    const started = await call('start', 'webgpu', { adapter: 'any' }).catch((error: Error) => error)
    if (started instanceof Error) {
      console.log(`WebGPU in Chromium was not tested: ${started.message.split('\n', 1)[0]}`)
      context.skip()
    }
    const names = ['matmul', 'softmax', 'layerNorm', 'attention, packed', 'embedding', 'sum']
    const there = await call('opOutcomes', names)
    const table = await call('trainTable')
    await inNode.start('reference')
    const here = await inNode.opOutcomes(names)
    expect(Object.keys(there)).toEqual(Object.keys(here))
    for (const [name, tensors] of Object.entries(here))
      for (const [t, values] of tensors.entries())
        for (const [i, value] of values.entries())
          expect(Math.abs(there[name][t][i] - value) / (1 + Math.abs(value)), name).toBeLessThan(2e-5)
    expect(distance(table, await inNode.trainTable())).toBeLessThan(1e-6)
  })
})
