/**
 * What a step costs beside its kernels, on models with all their layers but so narrow that computing takes next to no time:
 * a step of `generate` with SmolLM2 whose plan is known, and a training step of all-MiniLM at a length that was never there before.
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

/** Milliseconds of a step of `generate` with everything known, and of calling the model for a token: all of it, and its recording. */
async function decodeStep(): Promise<{ generate: number; call: number; record: number }> {
  const model = new LlamaForCausalLM(new LlamaConfig(NARROW_SMOLLM2)).eval()
  const cache = new KVCache({ maxLength: 2 * DECODE_STEPS })
  const call: number[] = []
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
    call.push(performance.now() - start)
    record.push(recorded - start)
  }
  const times: number[] = []
  const streamer = { put: () => void times.push(performance.now()), end() {} }
  const maxNewTokens = WARM_UP + DECODE_STEPS
  await model.generate([1, 2, 3], { maxNewTokens, doSample: false, eosTokenId: null, streamer })
  const generate = median(times.slice(WARM_UP).map((t, i) => t - times[WARM_UP + i - 1]))
  return { generate, call: median(call), record: median(record) }
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
  // as many as a fine-tuning bench warms up with: the engine optimizes the planner meanwhile
  for (let length = 20; length < 36; length++) await step(length)
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
      value: decode.generate,
      call: decode.call,
      record: decode.record,
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
      'calling a model of 30 layers for a token, plan known': { all: ms('call'), recording: ms('record') },
      'training step of 6 layers at a new length': {
        all: ms('training'),
        graph: ms('graph'),
        plan: ms('plan'),
        schedule: ms('schedule'),
      },
    },
  }
}
