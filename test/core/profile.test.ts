import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  attention,
  type DeviceName,
  profile,
  randn,
  setDefaultDevice,
  shutdown,
  type Tensor,
  tensor,
} from '../../core/index.ts'
import { Linear, Module } from '../../nn/index.ts'
import { SGD } from '../../nn/optim/index.ts'
import { webgpuAvailable } from '../helpers/webgpu.ts'

const [ROWS, IN, HIDDEN, OUT] = [12, 20, 24, 6]

class Block extends Module {
  dense = new Linear(IN, HIDDEN)
  forward(x: Tensor): Tensor {
    return this.dense(x).tanh()
  }
}

class Net extends Module {
  block = new Block()
  head = new Linear(HIDDEN, OUT)
  forward(x: Tensor): Tensor {
    return this.head(this.block(x)).square()
  }
}

const quiet = { print: false }
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tunesmith-profile-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})
afterAll(shutdown)

describe.each<DeviceName>(['cpu', 'reference', 'webgpu'])('profile on %s', (device) => {
  beforeEach(async (context) => {
    if (device === 'webgpu' && !(await webgpuAvailable())) context.skip()
    await shutdown()
    await setDefaultDevice(device)
  })

  it('counts calls, arithmetic and bytes of an op', async () => {
    const [a, b, bias] = [randn([ROWS, IN]), randn([HIDDEN, IN]), randn([HIDDEN])]
    for (const t of [a, b, bias]) await t.retain().data()
    const layer = new Linear(IN, HIDDEN)
    await layer(a).data()
    const { byOp, plans, milliseconds, kernelMilliseconds } = await profile(async () => {
      await layer(a).data()
      await layer(a).data()
    }, quiet)
    expect(plans).toBe(2)
    expect(byOp.reduce((sum, row) => sum + row.flops, 0)).toBe(2 * ROWS * HIDDEN * (2 * IN + 1))
    expect(byOp.reduce((sum, row) => sum + row.bytes, 0)).toBe(
      2 * 4 * (ROWS * IN + HIDDEN * IN + HIDDEN + ROWS * HIDDEN),
    )
    expect(kernelMilliseconds).toBeGreaterThan(0)
    expect(kernelMilliseconds).toBeLessThan(milliseconds)
  })

  it('runs again after a function that throws, and one at a time', async () => {
    await expect(
      profile(() => {
        throw new Error('in between')
      }, quiet),
    ).rejects.toThrow('in between')
    const first = profile(() => randn([3]).data(), quiet)
    await expect(profile(() => undefined, quiet)).rejects.toThrow('[profile] another profile is running')
    expect((await first).plans).toBe(1)
    await randn([3]).data()
  })
})

describe.each<DeviceName>(['cpu', 'reference'])('profile by module on %s', (device) => {
  beforeEach(async () => {
    await shutdown()
    await setDefaultDevice(device)
  })

  it('gives forward and backward kernels to the module whose forward was called', async () => {
    const net = new Net()
    const optimizer = new SGD(net.parameters(), { lr: 0.1 })
    const step = async () => {
      net(randn([ROWS, IN]))
        .sum()
        .backward()
      await optimizer.step()
    }
    await step()
    const { byOp, byModule, kernelMilliseconds } = await profile(step, quiet)
    const row = (name: string) => byModule.find((r) => r.name === name)!
    expect(byModule.map((r) => r.name)).toEqual(['(outside modules)', 'Net', 'block', 'block.dense', 'head'])
    expect(byModule.slice(1).map((r) => r.root)).toEqual(['Net', 'Net', 'Net', 'Net'])
    // products: forward, and for the gradient of the weight; of head also for that of its input
    const [dense, head] = [2 * ROWS * IN * HIDDEN, 2 * ROWS * HIDDEN * OUT]
    const products = byOp.find((r) => r.name === 'matmul')!
    expect(products.calls).toBe(5)
    expect(products.flops).toBe(2 * dense + ROWS * HIDDEN + 3 * head + ROWS * OUT)
    expect(row('block.dense').flops).toBeGreaterThanOrEqual(2 * dense)
    expect(row('head').flops).toBeGreaterThanOrEqual(3 * head)
    expect(row('head').flops).toBeLessThan(3 * head + 2 * dense)
    for (const name of ['block.dense', 'head']) {
      expect(row(name).backwardMilliseconds).toBeGreaterThan(0)
      expect(row(name).backwardMilliseconds).toBeLessThan(row(name).milliseconds)
    }
    // a module holds what is below it
    expect(row('block').milliseconds).toBeCloseTo(
      row('block').ownMilliseconds + row('block.dense').milliseconds,
      6,
    )
    expect(row('Net').calls).toBe(byOp.reduce((sum, r) => sum + r.calls, 0) - row('(outside modules)').calls)
    expect(row('Net').milliseconds + row('(outside modules)').milliseconds).toBeCloseTo(kernelMilliseconds, 6)
  })

  it('counts attention within the segments of a packed row only', async () => {
    const [heads, dim] = [2, 8]
    const q = randn([1, heads, 10, dim])
    const cuSeqlens = tensor([0, 3, 10], { dtype: 'int32' })
    const { byOp } = await profile(() => attention(q, q, q, { cuSeqlens }).data(), quiet)
    const row = byOp.find((r) => r.name === 'attention')!
    expect(row.flops).toBe(heads * (3 * 3 + 7 * 7) * (4 * dim + 5))
  })

  it('writes a trace that names kernels and modules', async () => {
    const net = new Net()
    const trace = join(folder, 'trace.json')
    const result = await profile(() => net(randn([ROWS, IN])).data(), { ...quiet, trace })
    expect(await readdir(folder)).toEqual(['trace.json'])
    const { traceEvents } = JSON.parse(await readFile(trace, 'utf8'))
    const spans = traceEvents.filter((e: { ph: string }) => e.ph === 'X')
    const kernels = result.byOp.reduce((sum, row) => sum + row.calls, 0)
    expect(spans).toHaveLength(result.plans + kernels)
    expect(spans).toContainEqual(
      expect.objectContaining({
        name: 'matmul',
        dur: expect.any(Number),
        args: expect.objectContaining({
          module: 'block.dense',
          pass: 'forward',
          flops: ROWS * HIDDEN * (2 * IN + 1),
        }),
      }),
    )
  })

  it('prints both tables', async () => {
    const net = new Net()
    const x = randn([ROWS, IN]).retain()
    await net(x).data()
    const text = String(await profile(() => net(x).data(), quiet))
    expect(text).toMatch(/^op +ms +% +calls +GFLOP +GFLOP\/s +GB\/s$/m)
    expect(text).toMatch(/^matmul +[\d.]+ +[\d.]+ +2 /m)
    expect(text).toMatch(/^ {2}block +[\d.]+/m)
    expect(text).toMatch(/^ {4}dense +[\d.]+/m)
  })
})

describe('profile where kernels cannot be timed', () => {
  it('takes plans as a whole', async () => {
    await shutdown()
    await setDefaultDevice('cpu', { threads: 2, mainThread: false })
    const { byOp } = await profile(() => tensor([1, 2, 3]).exp().data(), quiet)
    expect(byOp.map((row) => row.name)).toEqual(['plan of 1 kernels'])
    expect(byOp[0].bytes).toBe(2 * 3 * 4)
  })
})
