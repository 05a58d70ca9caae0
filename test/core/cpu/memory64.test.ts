/**
 * 64-bit addresses: everything lies above 4 GiB (pages that nobody touches cost nothing), and results have the bits of
 * 32-bit addresses. Vectors of 256 bits, which exist with 32-bit addresses only, give the same bits too.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasMemory64 } from '../../../core/backends/cpu/features.ts'
import { createCpuBackend } from '../../../core/backends/cpu/index.ts'
import { type DeviceOptions, expectWeights } from '../../../core/device.ts'
import * as T from '../../../core/index.ts'
import { AdamW, clipGradNorm_ } from '../../../nn/optim/index.ts'
import { BertConfig, BertForSequenceClassification } from '../../../transformers/models/bert.ts'
import { LlamaConfig, LlamaForCausalLM } from '../../../transformers/models/llama.ts'
import { callCases, loopCases, runCase } from '../../helpers/kernels.ts'
import { OP_CASES, type OpCase } from '../op-cases.ts'

const ABOVE = { addressBits: 64, firstAddress: 4.5 * 2 ** 30 } as const

/** The options for tests are not among the device's public ones. */
const choose = (bits: 32 | 64, threads: number) =>
  T.setDefaultDevice('cpu', { threads, shareAlways: true, ...(bits === 64 && ABOVE) } as DeviceOptions)

/** Bits of the result and the gradients of a case. */
async function outcome(c: OpCase): Promise<number[]> {
  const inputs = c.shapes.map((shape, s) => {
    const count = shape.reduce((a, b) => a * b, 1)
    const values = Float32Array.from({ length: count }, (_, i) => 0.2 + ((i * 7 + s * 3) % 17) / 11)
    return T.tensor(values, shape).requiresGrad_()
  })
  const y = c.fn(...inputs)
  const grads = T.grad(y.mul(y).sum(), inputs)
  await T.evaluate(y, ...grads)
  const all = await Promise.all([y, ...grads].map((t) => t.data()))
  return all.flatMap((data) => [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)])
}

/** Two steps of training a small classifier on packed sentences with dropout: losses, and all parameters after it. */
async function training(): Promise<number[]> {
  T.manualSeed(3)
  const config = new BertConfig({
    vocab_size: 50,
    hidden_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 3,
    intermediate_size: 40,
    max_position_embeddings: 64,
  })
  const model = new BertForSequenceClassification(config).train()
  const optimizer = new AdamW(model.parameters(), { lr: 1e-3 })
  const results: number[] = []
  for (const lengths of [
    [5, 20, 13],
    [31, 2, 9],
  ]) {
    const bounds = [0]
    for (const n of lengths) bounds.push(bounds.at(-1)! + n)
    const tokens = bounds.at(-1)!
    const { loss } = model({
      inputIds: T.tensor(
        Int32Array.from({ length: tokens }, (_, i) => 1 + ((i * 11) % 49)),
        [1, tokens],
      ),
      cuSeqlens: Int32Array.from(bounds),
      labels: T.tensor(Int32Array.from([0, 1, 1])),
    })
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    await optimizer.step()
    optimizer.zeroGrad()
    results.push((await loss!.item()) as number)
  }
  for (const p of model.parameters()) results.push(...(await p.data()))
  return results
}

async function generation(): Promise<number[]> {
  T.manualSeed(4)
  const config = new LlamaConfig({
    vocab_size: 60,
    hidden_size: 32,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 48,
    max_position_embeddings: 64,
  })
  const model = new LlamaForCausalLM(config).eval()
  const options = { maxNewTokens: 12, doSample: true, topK: 20 }
  const { sequences } = await model.generate([1, 2, 3, 4, 5], options)
  return sequences.flatMap((s) => [...s])
}

describe.skipIf(!hasMemory64())('64-bit addresses', () => {
  describe.each([1, 3])('with %i threads', (threads) => {
    it('give the bits of 32-bit ones for every op and its gradients, a training and a generation', async () => {
      const results = new Map<32 | 64, unknown[]>()
      for (const bits of [32, 64] as const) {
        await T.shutdown()
        expect((await choose(bits, threads)).description.includes('64-bit addresses')).toBe(bits === 64)
        const ofOps: number[][] = []
        for (const c of OP_CASES) ofOps.push(await outcome(c))
        results.set(bits, [...ofOps, await training(), await generation()])
        if (bits === 64) expect(T.memory.stats().reserved).toBeGreaterThan(ABOVE.firstAddress)
      }
      await T.shutdown()
      for (const [i, values] of results.get(32)!.entries())
        expect(results.get(64)![i], OP_CASES[i]?.name ?? 'a model').toEqual(values)
    }, 60_000)
  })

  describe('kernels', () => {
    const wide = createCpuBackend({ threads: 2, shareAlways: true, ...ABOVE })
    const narrow = createCpuBackend({ threads: 1 })
    beforeAll(() => wide.startWorkers())
    afterAll(() => Promise.all([wide.shutdown(), narrow.shutdown()]))
    it('give the bits of 32-bit addresses', async () => {
      for (const c of [...loopCases(), ...callCases()])
        expect(await runCase(wide, c), c.name).toEqual(await runCase(narrow, c))
    })
  })
})

describe.skipIf(!hasMemory64())('weights that 4 GiB will not hold', () => {
  afterAll(() => T.shutdown())
  const description = async () => (await T.backendFor('cpu')).description
  const choose = async (options?: DeviceOptions) => {
    await T.shutdown()
    await T.setDefaultDevice('cpu', options)
  }
  it('get 64-bit addresses', async () => {
    await choose()
    await expectWeights(3 * 2 ** 30)
    expect(await description()).not.toContain('64-bit')
    await expectWeights(4 * 2 ** 30)
    expect(await description()).toContain('64-bit')
    expect(await T.tensor([1, 2]).sum().item()).toBe(3)
  })

  it('leave the device as it is where its addresses were chosen, or something lives there', async () => {
    await choose({ addressBits: 32 })
    await expectWeights(4 * 2 ** 30)
    expect(await description()).not.toContain('64-bit')
    await choose()
    // above 1 MiB: smaller results are copied off the device
    const large = T.ones([300_000]).mul(2)
    await T.evaluate(large)
    await expectWeights(4 * 2 ** 30)
    expect(await description()).not.toContain('64-bit')
    expect(await large.sum().item()).toBe(600_000)
  })
})

describe('the width of addresses', () => {
  it('is 32 or 64, by option or environment', () => {
    expect(() => createCpuBackend({ addressBits: 48 as 64 })).toThrow(/addressBits: 48 is neither 32 nor 64/)
    const before = process.env.TUNESMITH_ADDRESS_BITS
    try {
      process.env.TUNESMITH_ADDRESS_BITS = 'all'
      expect(() => createCpuBackend()).toThrow(/TUNESMITH_ADDRESS_BITS="all" is neither/)
      process.env.TUNESMITH_ADDRESS_BITS = '64'
      if (hasMemory64()) expect(createCpuBackend().description).toContain('64-bit addresses')
      expect(createCpuBackend({ addressBits: 32 }).description).not.toContain('64-bit')
    } finally {
      if (before === undefined) delete process.env.TUNESMITH_ADDRESS_BITS
      else process.env.TUNESMITH_ADDRESS_BITS = before
    }
  })
})
