/** What a training step costs beside the computing: building the graph, its gradients, finding its plan, starting kernels. */
import { tensor } from '../core/index.ts'
import { AdamW } from '../nn/optim/index.ts'
import { type BenchOptions, type BenchResult, round, time } from './bench.ts'
import { smallClassifier } from './models.ts'

/** Six layers as all-MiniLM has them, but so narrow that computing takes next to no time. */
const TINY = {
  hidden_size: 16,
  num_hidden_layers: 6,
  num_attention_heads: 2,
  intermediate_size: 16,
  hidden_dropout_prob: 0.1,
}

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const model = smallClassifier(TINY).train()
  const optimizer = new AdamW(model.parameters(), { lr: 1e-4 })
  const inputIds = tensor(
    Int32Array.from({ length: 8 }, (_, i) => i + 1),
    [1, 8],
  )
  const labels = tensor(Int32Array.of(1))
  let record = 0
  let steps = 0
  const { median } = await time(async () => {
    const start = performance.now()
    const { loss } = model({ inputIds, labels })
    loss!.backward()
    record += performance.now() - start
    steps++
    await optimizer.step()
    optimizer.zeroGrad()
  }, seconds)
  return {
    value: round(median * 1000),
    unit: 'ms/step',
    detail: {
      layers: 6,
      recordingForwardAndBackward: round(record / steps),
      parameters: [...model.parameters()].length,
    },
  }
}
