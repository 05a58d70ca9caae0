/** Runs the real suite: all-MiniLM and SmolLM2 on real texts, against what PyTorch computed. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type DeviceChoice,
  evaluate,
  noGrad,
  setDefaultDevice,
  type Tensor,
  tensor,
} from '../../core/index.ts'
import { openSafetensors } from '../../hub/index.ts'
import { AdamW, clipGradNorm_, getScheduler } from '../../nn/optim/index.ts'
import {
  AutoModel,
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  decayGroups,
} from '../../transformers/index.ts'
import type { CaseResult } from './safetensors.ts'

const MINILM = 'sentence-transformers/all-MiniLM-L6-v2'
const SMOLLM2 = 'HuggingFaceTB/SmolLM2-135M-Instruct'

interface RealCases {
  embeddings: { texts: string[]; input_ids: number[][]; embeddings: string }
  training: {
    data: string
    batches: number[][]
    max_length: number
    max_grad_norm: number
    schedule: { name: string; warmup: number; total: number }
    losses: number[]
    grad_norms: number[]
    tensors: string
  }
  generation: {
    greedy: { prompt: unknown; rendered: string; input_ids: number[]; new_ids: number[] }[]
    loss: { input_ids: number[]; loss: number }
  }
}

export interface RealOptions {
  device?: DeviceChoice
  /** Folder with the two models, as `fetch_models.py` fills it. */
  hub: string
  wanted?: (path: string) => boolean
}

interface Context {
  folder: string
  hub: string
  golden: RealCases
}

type Check = (context: Context) => Promise<string | null>

/** @param folder `goldens/real`; the texts are in `data` beside the goldens */
export async function* runReal(folder: string, options: RealOptions): AsyncIterable<CaseResult> {
  if (options.device) await setDefaultDevice(options.device)
  const golden = JSON.parse(await readFile(join(folder, 'cases.json'), 'utf8')) as RealCases
  const context = { folder, hub: options.hub, golden }
  const cases: Record<string, Check> = {
    'embeddings/ids': tokenization,
    'embeddings/padded': (c) => embeddings(c, false),
    'embeddings/packed': (c) => embeddings(c, true),
    'training/padded': (c) => training(c, false),
    'training/packed': (c) => training(c, true),
    'generation/loss': languageLoss,
    'generation/greedy': greedyChoices,
  }
  for (const [name, run] of Object.entries(cases)) {
    if (options.wanted && !options.wanted(name)) continue
    try {
      const reason = await run(context)
      yield reason === null ? { case: name, status: 'passed' } : { case: name, status: 'failed', reason }
    } catch (error) {
      yield { case: name, status: 'failed', reason: error instanceof Error ? error.message : String(error) }
    }
  }
}

async function tokenization({ hub, golden }: Context): Promise<string | null> {
  const tokenizer = await AutoTokenizer.fromPretrained(join(hub, MINILM))
  const { texts, input_ids } = golden.embeddings
  for (const [i, text] of texts.entries()) {
    const got = [...tokenizer(text).inputIds]
    if (got.join() !== input_ids[i].join()) return `ids of text ${i} are [${got}], not [${input_ids[i]}]`
  }
  return null
}

interface Batch {
  inputIds: Tensor
  attentionMask?: Tensor
  cuSeqlens?: number[]
}

/** Rows padded to the longest, or one after another in one row. */
function batchOf(rows: readonly (readonly number[])[], packed: boolean): Batch {
  if (packed) {
    const cuSeqlens = [0]
    for (const row of rows) cuSeqlens.push(cuSeqlens[cuSeqlens.length - 1] + row.length)
    const ids = Int32Array.from(rows.flat())
    return { inputIds: tensor(ids, [1, ids.length]), cuSeqlens }
  }
  const width = Math.max(...rows.map((r) => r.length))
  const ids = new Int32Array(rows.length * width)
  const mask = new Int32Array(rows.length * width)
  for (const [i, row] of rows.entries()) {
    ids.set(row, i * width)
    mask.fill(1, i * width, i * width + row.length)
  }
  const shape = [rows.length, width]
  return { inputIds: tensor(ids, shape), attentionMask: tensor(mask, shape) }
}

/** The largest |got - expected|; infinite where the lengths differ or a number is missing. */
function distance(got: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (got.length !== expected.length) return Number.POSITIVE_INFINITY
  let worst = 0
  for (let i = 0; i < got.length; i++) {
    const d = Math.abs(got[i] - expected[i])
    if (!(d <= worst)) worst = d
  }
  return worst
}

const within = (what: string, got: ArrayLike<number>, expected: ArrayLike<number>, limit: number) => {
  const d = distance(got, expected)
  return d <= limit ? null : `${what} differ by ${d}, over ${limit}`
}

/** Mean over the real tokens of each text, scaled to length 1. */
async function embeddings({ folder, hub, golden }: Context, packed: boolean): Promise<string | null> {
  const model = await AutoModel.fromPretrained(join(hub, MINILM))
  const rows = golden.embeddings.input_ids
  const hidden = await noGrad(() => model(batchOf(rows, packed)).lastHiddenState).data()
  const dim = model.config.toJSON().hidden_size as number
  const width = Math.max(...rows.map((r) => r.length))
  const out = new Float32Array(rows.length * dim)
  let at = 0
  for (const [i, row] of rows.entries()) {
    const start = packed ? at : i * width
    const mean = out.subarray(i * dim, (i + 1) * dim)
    for (let t = 0; t < row.length; t++)
      for (let d = 0; d < dim; d++) mean[d] += hidden[(start + t) * dim + d] / row.length
    const norm = Math.hypot(...mean)
    for (let d = 0; d < dim; d++) mean[d] /= norm
    at += row.length
  }
  await using file = await openSafetensors(join(folder, golden.embeddings.embeddings))
  return within('embeddings', out, await file.readFloat32('embeddings'), 1e-5)
}

async function lines(folder: string, name: string): Promise<{ text: string; label: number }[]> {
  const content = await readFile(join(folder, '..', '..', name), 'utf8')
  return content
    .trimEnd()
    .split('\n')
    .map((line) => {
      const tab = line.lastIndexOf('\t')
      return { text: line.slice(0, tab), label: Number(line.slice(tab + 1)) }
    })
}

async function training({ folder, hub, golden }: Context, packed: boolean): Promise<string | null> {
  const t = golden.training
  await using stored = await openSafetensors(join(folder, t.tensors))
  const off = {
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    classifier_dropout: 0,
    num_labels: 2,
  }
  const model = await AutoModelForSequenceClassification.fromPretrained(join(hub, MINILM), { config: off })
  for (const name of ['classifier.weight', 'classifier.bias']) {
    const start = tensor(await stored.readFloat32(name), [...stored.info(name).shape])
    noGrad(() => model.getParameter(name).copy_(start))
  }
  const tokenizer = await AutoTokenizer.fromPretrained(join(hub, MINILM))
  const encode = (text: string) => [
    ...tokenizer(text, { truncation: true, maxLength: t.max_length }).inputIds,
  ]
  const train = await lines(folder, t.data)
  const optimizer = new AdamW(decayGroups(model, 0.01), { lr: 1e-4 })
  const scheduler = getScheduler(t.schedule.name, optimizer, {
    numWarmupSteps: t.schedule.warmup,
    numTrainingSteps: t.schedule.total,
  })
  model.train()
  const losses: number[] = []
  const norms: number[] = []
  for (const numbers of t.batches) {
    const rows = numbers.map((i) => train[i])
    optimizer.zeroGrad()
    const { loss } = model({
      ...batchOf(
        rows.map((r) => encode(r.text)),
        packed,
      ),
      labels: rows.map((r) => r.label),
    })
    loss!.backward()
    const norm = clipGradNorm_(model.parameters(), t.max_grad_norm)
    await optimizer.step()
    scheduler.step()
    losses.push(await loss!.item())
    norms.push(await norm.item())
  }
  model.eval()
  const dev = (await lines(folder, t.data.replace('train', 'dev'))).slice(0, 64)
  const { logits } = noGrad(() =>
    model(
      batchOf(
        dev.map((r) => encode(r.text)),
        packed,
      ),
    ),
  )
  return (
    within('losses', losses, t.losses, 2e-4) ??
    within('gradient norms', norms, t.grad_norms, 2e-2) ??
    within('dev logits', await logits.data(), await stored.readFloat32('dev_logits'), 2e-3)
  )
}

async function languageLoss({ hub, golden }: Context): Promise<string | null> {
  const model = await AutoModelForCausalLM.fromPretrained(join(hub, SMOLLM2))
  const { input_ids, loss } = golden.generation.loss
  const out = noGrad(() => model({ inputIds: [input_ids], labels: [input_ids] }))
  return within('losses', [await out.loss!.item()], [loss], 1e-4)
}

/** Logits this close may change places by rounding. */
const CLEAR = 1e-3

/** Fed PyTorch's tokens, our own choice must be PyTorch's wherever our two best are clearly apart. */
async function greedyChoices({ hub, golden }: Context): Promise<string | null> {
  const model = await AutoModelForCausalLM.fromPretrained(join(hub, SMOLLM2))
  for (const { rendered, input_ids, new_ids } of golden.generation.greedy) {
    const ids = [...input_ids, ...new_ids.slice(0, -1)]
    const { logits } = noGrad(() => model({ inputIds: [ids], logitsToKeep: new_ids.length }))
    await evaluate(logits)
    const values = await logits.data()
    const vocabulary = logits.shape[2]
    for (const [step, expected] of new_ids.entries()) {
      const row = values.subarray(step * vocabulary, (step + 1) * vocabulary)
      const [first, second] = bestTwo(row)
      if (first !== expected && row[first] - row[second] > CLEAR)
        return `after ${JSON.stringify(rendered.slice(-40))}, step ${step}: chose ${first} (${row[first]}), not ${expected} (${row[expected]})`
    }
  }
  return null
}

function bestTwo(row: ArrayLike<number>): [number, number] {
  let [first, second] = row[0] >= row[1] ? [0, 1] : [1, 0]
  for (let i = 2; i < row.length; i++)
    if (row[i] > row[first]) [first, second] = [i, first]
    else if (row[i] > row[second]) second = i
  return [first, second]
}
