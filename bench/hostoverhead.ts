/**
 * What a step costs beside its kernels, on models with all their layers but so narrow that computing takes next to no time:
 * a decode step of SmolLM2 whose plan is known, and a training step of all-MiniLM at a length that was never there before.
 */
import { noGrad, tensor } from '../core/index.ts'
import { AdamW, clipGradNorm_ } from '../nn/optim/index.ts'
import { KVCache } from '../transformers/cache.ts'
import { LlamaConfig, LlamaForCausalLM } from '../transformers/models/llama.ts'
import { type BenchOptions, type BenchResult, median, round, type Sample } from './bench.ts'
import { SMOLLM2, smallClassifier } from './models.ts'

const NARROW_MINILM = {
  hidden_size: 24,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  intermediate_size: 16,
}
const NARROW_SMOLLM2 = {
  ...SMOLLM2,
  vocab_size: 64,
  hidden_size: 36,
  intermediate_size: 16,
  num_hidden_layers: 30,
}

const DECODE_STEPS = 100
const WARM_UP = 10

/** Milliseconds of a whole decode step with its plan at hand, of its recording, and of `generate` a token. */
async function decodeStep(): Promise<{ whole: number; record: number; generate: number }> {
  const model = new LlamaForCausalLM(new LlamaConfig(NARROW_SMOLLM2)).eval()
  const cache = new KVCache({ maxLength: 2 * DECODE_STEPS })
  const whole: number[] = []
  const record: number[] = []
  for (let i = 0; i < WARM_UP + DECODE_STEPS; i++) {
    const start = performance.now()
    const { logits } = noGrad(() =>
      model({
        inputIds: tensor(Int32Array.of(i % 60), [1, 1]),
        positionIds: tensor(Int32Array.of(i), [1, 1]),
        pastKeyValues: cache,
        logitsToKeep: 1,
      }),
    )
    const recorded = performance.now()
    await logits.data()
    if (i < WARM_UP) continue
    whole.push(performance.now() - start)
    record.push(recorded - start)
  }
  const options = { doSample: false, eosTokenId: null }
  await model.generate([1, 2, 3], { maxNewTokens: WARM_UP, ...options })
  const start = performance.now()
  await model.generate([1, 2, 3], { maxNewTokens: DECODE_STEPS, ...options })
  const generate = (performance.now() - start) / DECODE_STEPS
  return { whole: median(whole), record: median(record), generate }
}

/** Lengths of a training run come in any order. */
const LENGTHS = Array.from({ length: 24 }, (_, i) => 40 + ((i * 11) % 24))

/** Milliseconds of building the graph, of planning it, and of finding its plan and starting its kernels. */
async function trainingStep(): Promise<{ graph: number; plan: number; schedule: number }> {
  const model = smallClassifier(NARROW_MINILM).train()
  const optimizer = new AdamW(model.parameters(), { lr: 1e-4 })
  const step = async (length: number) => {
    const start = performance.now()
    const { loss } = model({
      inputIds: tensor(
        Int32Array.from({ length }, (_, i) => i + 1),
        [1, length],
      ),
      cuSeqlens: Int32Array.of(0, 9, length),
      labels: tensor(Int32Array.of(0, 1)),
    })
    loss!.backward()
    clipGradNorm_(model.parameters(), 1)
    const recorded = performance.now()
    await optimizer.step()
    const done = performance.now()
    optimizer.zeroGrad()
    await loss!.item()
    return { record: recorded - start, evaluate: done - recorded }
  }
  for (const length of [30, 31, 32, 33]) await step(length)
  const graph: number[] = []
  const plan: number[] = []
  const schedule: number[] = []
  for (const length of LENGTHS) {
    const first = await step(length)
    const again = await step(length)
    graph.push(first.record)
    // the same step once more finds its plan: what it saves is the planning
    plan.push(first.evaluate - again.evaluate)
    schedule.push(again.evaluate)
  }
  return { graph: median(graph), plan: median(plan), schedule: median(schedule) }
}

export async function prepare(_: BenchOptions): Promise<() => Promise<Sample>> {
  return async () => {
    const decode = await decodeStep()
    const training = await trainingStep()
    return {
      value: decode.whole,
      decodeRecord: decode.record,
      generateToken: decode.generate,
      training: training.graph + training.plan + training.schedule,
      ...training,
    }
  }
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const s = await (await prepare(options))()
  const ms = (key: string) => round(s[key] as number)
  return {
    value: ms('value'),
    unit: 'ms/step',
    detail: {
      'decode step of 30 layers, plan known': { all: ms('value'), recording: ms('decodeRecord') },
      'generate, a token': ms('generateToken'),
      'training step of 6 layers at a new length': {
        all: ms('training'),
        graph: ms('graph'),
        plan: ms('plan'),
        schedule: ms('schedule'),
      },
    },
  }
}
