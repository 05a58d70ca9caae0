/** Training gives the same bits run after run, whatever the number of threads; with a BLAS nearly the same numbers. */
import { afterAll, describe, expect, it } from 'vitest'
import { findBlas } from '../../core/backends/cpu/blas/node-library.ts'
import type { CpuBackend } from '../../core/backends/cpu/index.ts'
import { backendNow } from '../../core/device.ts'
import { type DeviceOptions, manualSeed, setDefaultDevice, shutdown, tensor } from '../../core/index.ts'
import { pack } from '../../data/index.ts'
import { AdamW, clipGradNorm_ } from '../../nn/optim/index.ts'
import { BertConfig, BertForSequenceClassification } from '../../transformers/models/bert.ts'

const STEPS = 4
const VOCABULARY = 500

/** Some steps with dropout, clipping and AdamW; products are large enough for several threads, and for a BLAS. */
async function train(options: DeviceOptions): Promise<{ losses: number[]; weights: Float32Array[] }> {
  await shutdown()
  await setDefaultDevice('cpu', options)
  // from the first kernel on, not from when they happen to be up
  await (backendNow('cpu') as CpuBackend).startWorkers()
  manualSeed(11)
  const model = new BertForSequenceClassification(
    new BertConfig({
      vocab_size: VOCABULARY,
      hidden_size: 192,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      intermediate_size: 384,
      max_position_embeddings: 64,
    }),
  ).train()
  const optimizer = new AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.01 })
  const losses: number[] = []
  for (let step = 0; step < STEPS; step++) {
    const texts = Array.from({ length: 8 }, (_, i) =>
      Int32Array.from({ length: 16 + ((i * 5 + step) % 9) }, (_, j) => (i * 31 + j * 7 + step) % VOCABULARY),
    )
    const { inputIds, positionIds, cuSeqlens } = pack(texts)
    const { loss } = model({
      inputIds: tensor(inputIds, [1, inputIds.length]),
      positionIds: tensor(positionIds, [1, inputIds.length]),
      cuSeqlens,
      labels: tensor(Int32Array.from(texts, (_, i) => i % 2)),
    })
    optimizer.zeroGrad()
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    await optimizer.step()
    losses.push(await loss!.item())
  }
  const weights: Float32Array[] = []
  for (const p of model.parameters()) weights.push((await p.data()) as Float32Array)
  return { losses, weights }
}

afterAll(shutdown)

describe('training on the cpu without a BLAS', () => {
  it('gives the same bits run after run, on one thread, on three, and off the main thread', async () => {
    const first = await train({ threads: 1, blas: 'off' })
    expect(first.losses.every(Number.isFinite)).toBe(true)
    for (const options of [{ threads: 1 }, { threads: 3 }, { threads: 2, mainThread: false }]) {
      const again = await train({ ...options, blas: 'off' })
      expect(again.losses).toEqual(first.losses)
      for (const [i, w] of again.weights.entries())
        expect(Buffer.from(w.buffer).equals(Buffer.from(first.weights[i].buffer)), `parameter ${i}`).toBe(
          true,
        )
    }
  })
})

describe.skipIf(!findBlas('auto'))('training on the cpu with the BLAS of this machine', () => {
  it('gives the losses that our own kernels give', async () => {
    const own = await train({ blas: 'off' })
    const withBlas = await train({ blas: 'auto' })
    // they would be equal to the bit had no product gone to the library
    expect(withBlas.weights).not.toEqual(own.weights)
    // seen are 6e-8; but Adam turns a gradient that is rounding noise into a step of full size, for some of many parameters
    for (const [i, loss] of withBlas.losses.entries())
      expect(Math.abs(loss - own.losses[i])).toBeLessThan(5e-6)
  })
})
