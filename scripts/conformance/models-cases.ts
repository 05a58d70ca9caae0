/** One case of the models suite, by its kind. Each gives null where everything agrees, else what does not. */

import { evaluate, noGrad, type Tensor, tensor } from '../../core/index.ts'
import { AdamW, clipGradNorm_, getScheduler } from '../../nn/optim/index.ts'
import type { GenerateOutput } from '../../transformers/generation/generate.ts'
import type { AnyPreTrainedModel } from '../../transformers/pretrained-model.ts'
import type { GoldenFile, TensorRef } from './golden.ts'
import { Comparison, type TOLERANCES } from './models-compare.ts'

/** Thrown where a case asks for something that is not built. */
export class Skip extends Error {}

export interface ModelCase {
  name: string
  kind: string
  [field: string]: unknown
}

interface ForwardCase extends ModelCase {
  inputs: Record<string, TensorRef>
  loss?: number
  outputs: Record<string, TensorRef | TensorRef[]>
  grads?: Record<string, TensorRef>
}

interface TrainingCase extends ModelCase {
  optimizer: {
    name: string
    lr: number
    betas: [number, number]
    eps: number
    weight_decay: number
    no_decay: string[]
  }
  clip_grad_norm: number
  schedule: { name: string; num_warmup_steps: number; num_training_steps: number }
  steps: number
  batches: Record<string, TensorRef>[]
  log: { loss: number; grad_norm: number; lr: number }[]
  final_weights: Record<string, TensorRef>
  noise_parameters?: Record<string, number>
}

interface PackingCase extends ModelCase {
  lengths: number[]
  sequences: Record<string, TensorRef>[]
  loss_sum: number
  logits: TensorRef[]
  grads: Record<string, TensorRef>
}

interface CachedCase extends ModelCase {
  first: TensorRef
  second: TensorRef
  outputs: { logits: TensorRef }
}

interface GenerateCase extends ModelCase {
  inputs: Record<string, TensorRef>
  arguments: Record<string, unknown>
  sequences: number[][]
  /** [steps, B, V]; of greedy cases only. */
  step_scores?: TensorRef
}

type Load = () => Promise<AnyPreTrainedModel>
type Output = Record<string, Tensor | Tensor[] | undefined>
type Call = (inputs: Record<string, unknown>) => Output

const KINDS: Record<string, (c: never, golden: GoldenFile, load: Load) => Promise<string | null>> = {
  forward,
  cached_forward: cached,
  training,
  packing,
  generate,
}

export function runCase(c: ModelCase, golden: GoldenFile, load: Load): Promise<string | null> {
  const run = KINDS[c.kind]
  if (!run) throw new Skip(`cases of kind "${c.kind}" are not built`)
  return run(c as never, golden, load)
}

const camel = (name: string): string => name.replace(/_(\w)/g, (_, c) => c.toUpperCase())

/** A tensor of the file; integers come as int32. */
const toTensor = (golden: GoldenFile, ref: TensorRef): Tensor => tensor(golden.numbers(ref), ref.shape)

const toInputs = (golden: GoldenFile, refs: Record<string, TensorRef>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(refs).map(([name, ref]) => [camel(name), toTensor(golden, ref)]))

const flat = (out: Output): Tensor[] => Object.values(out).flatMap((x) => x ?? [])

async function forward(c: ForwardCase, golden: GoldenFile, load: Load): Promise<string | null> {
  const model = await load()
  const compare = new Comparison(model.config.model_type)
  const out = (model as unknown as Call)({
    ...toInputs(golden, c.inputs),
    outputHiddenStates: 'hidden_states' in c.outputs,
    outputAttentions: 'attentions' in c.outputs,
  })
  if (c.grads) (out.loss as Tensor).backward()
  await evaluate(...flat(out))
  if (c.loss !== undefined) compare.numbers('loss', [await (out.loss as Tensor).item()], [c.loss], 'loss')
  const mask = c.inputs.attention_mask && golden.numbers(c.inputs.attention_mask)
  for (const [name, expected] of Object.entries(c.outputs)) {
    const got = out[camel(name)]
    const pairs = Array.isArray(expected) ? expected : [expected]
    const values = Array.isArray(got) ? got : [got]
    if (values.length !== pairs.length) compare.fail(name, `${values.length} tensors, not ${pairs.length}`)
    else
      for (const [i, ref] of pairs.entries())
        await compare.output(
          `${name}${Array.isArray(expected) ? `[${i}]` : ''}`,
          values[i],
          ref,
          golden,
          mask,
        )
  }
  if (c.grads) await compareGrads(compare, model, c.grads, golden, 'grads')
  return compare.result
}

async function compareGrads(
  compare: Comparison,
  model: AnyPreTrainedModel,
  grads: Record<string, TensorRef>,
  golden: GoldenFile,
  kind: keyof typeof TOLERANCES,
): Promise<void> {
  const parameters = new Map(model.namedParameters())
  for (const [name, ref] of Object.entries(grads)) {
    const grad = parameters.get(name)?.grad
    const expected = golden.numbers(ref)
    if (grad) compare.numbers(`gradient of ${name}`, await grad.data(), expected, kind)
    // what a loss does not depend on has no gradient here and zeros there
    else if (!parameters.has(name)) compare.fail(name, 'no such parameter')
    else if (expected.some((x) => x !== 0)) compare.fail(`gradient of ${name}`, 'is missing')
  }
}

async function cached(c: CachedCase, golden: GoldenFile, load: Load): Promise<string | null> {
  const model = await load()
  const compare = new Comparison(model.config.model_type)
  const call = model as unknown as Call
  const logits = noGrad(() => {
    const first = call({ inputIds: toTensor(golden, c.first), useCache: true })
    const second = call({ inputIds: toTensor(golden, c.second), pastKeyValues: first.pastKeyValues })
    return second.logits as Tensor
  })
  await compare.output('logits', logits, c.outputs.logits, golden)
  return compare.result
}

async function training(c: TrainingCase, golden: GoldenFile, load: Load): Promise<string | null> {
  const model = await load()
  model.train()
  const compare = new Comparison(model.config.model_type)
  const { name, lr, betas, eps, weight_decay } = c.optimizer
  if (name !== 'AdamW') throw new Skip(`optimizer ${name} is not built`)
  const noDecay = new Set(c.optimizer.no_decay)
  const group = (decays: boolean) =>
    [...model.namedParameters()].filter(([n]) => noDecay.has(n) !== decays).map(([, p]) => p)
  const groups = [
    { params: group(true), weightDecay: weight_decay },
    { params: group(false), weightDecay: 0 },
  ]
  const optimizer = new AdamW(
    groups.filter((g) => g.params.length > 0),
    { lr, betas, eps },
  )
  const scheduler = getScheduler(c.schedule.name, optimizer, {
    numWarmupSteps: c.schedule.num_warmup_steps,
    numTrainingSteps: c.schedule.num_training_steps,
  })
  for (const [step, batch] of c.batches.entries()) {
    optimizer.zeroGrad()
    const { loss } = (model as unknown as Call)(toInputs(golden, batch)) as { loss: Tensor }
    loss.backward()
    const norm = clipGradNorm_(model.parameters(), c.clip_grad_norm)
    const log = c.log[step]
    compare.numbers(`lr of step ${step}`, scheduler.getLastLr().slice(0, 1), [log.lr], 'lr')
    await optimizer.step()
    scheduler.step()
    compare.numbers(`loss of step ${step}`, [await loss.item()], [log.loss], 'loss')
    compare.numbers(`gradient norm of step ${step}`, [await norm.item()], [log.grad_norm], 'loss')
  }
  const noise = c.noise_parameters ?? {}
  for (const [path, p] of model.namedParameters()) {
    const ref = c.final_weights[path]
    if (!ref) compare.fail(path, 'is not among the final weights')
    else if (path in noise)
      compare.absolute(`weight ${path}`, await p.data(), golden.numbers(ref), lr * c.steps)
    else compare.numbers(`weight ${path}`, await p.data(), golden.numbers(ref), 'weights')
  }
  return compare.result
}

async function packing(c: PackingCase, golden: GoldenFile, load: Load): Promise<string | null> {
  const model = await load()
  const compare = new Comparison(model.config.model_type)
  const ends = c.lengths.map((_, i) => c.lengths.slice(0, i + 1).reduce((a, b) => a + b, 0))
  const total = ends[ends.length - 1]
  const row = (field: string) => {
    const values = c.sequences.flatMap((s) => [...golden.numbers(s[field])])
    return tensor(Int32Array.from(values), [1, total])
  }
  const inputs = Object.keys(c.sequences[0]).map((field) => [camel(field), row(field)] as const)
  const out = (model as unknown as Call)({
    ...Object.fromEntries(inputs),
    cuSeqlens: [0, ...ends],
    numItemsInBatch: 1,
  }) as { loss: Tensor; logits: Tensor }
  out.loss.backward()
  await evaluate(out.loss, out.logits)
  compare.numbers('summed loss', [await out.loss.item()], [c.loss_sum], 'packing')
  for (const [i, ref] of c.logits.entries()) {
    const piece = out.logits.narrow(1, ends[i] - c.lengths[i], c.lengths[i])
    compare.numbers(`logits[${i}]`, await piece.data(), golden.numbers(ref), 'outputs')
  }
  await compareGrads(compare, model, c.grads, golden, 'packing')
  return compare.result
}

interface Generates {
  generate?: (ids: unknown, args: Record<string, unknown>) => Promise<GenerateOutput>
}

async function generate(c: GenerateCase, golden: GoldenFile, load: Load): Promise<string | null> {
  if (Number(c.arguments.num_beams ?? 1) > 1) throw new Skip('beam search is not built')
  const model = (await load()) as AnyPreTrainedModel & Generates
  if (!model.generate) throw new Skip('generate is not built')
  const compare = new Comparison(model.config.model_type)
  const { input_ids, ...rest } = c.inputs
  const args = Object.fromEntries(Object.entries(c.arguments).map(([k, v]) => [camel(k), v]))
  const options = { ...toInputs(golden, rest), ...args, outputScores: true }
  const out = await model.generate(toTensor(golden, input_ids), options)
  const sequences = JSON.stringify(out.sequences)
  if (sequences !== JSON.stringify(c.sequences))
    compare.fail('sequences', `are ${sequences}, not ${JSON.stringify(c.sequences)}`)
  if (c.step_scores) {
    const all = Float32Array.from(out.scores!.flat().flatMap((row) => [...row]))
    compare.numbers('step_scores', all, golden.numbers(c.step_scores), 'outputs')
  }
  return compare.result
}
