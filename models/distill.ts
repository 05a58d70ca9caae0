/** Teaching a small encoder to give the states that a larger one gives, layer by layer (Jiao et al. 2020, TinyBERT). */
import { noGrad, type Tensor, tensor } from '../core/index.ts'
import { makeBatches, pack, sampleIndices } from '../data/index.ts'
import { functional as F } from '../nn/index.ts'
import { AdamW, clipGradNorm_, getCosineScheduleWithWarmup } from '../nn/optim/index.ts'
import type { BertModel } from '../transformers/models/bert.ts'

export interface DistillOptions {
  teacher: BertModel
  student: BertModel
  /** Token ids of the texts, in the student's numbers. */
  texts: readonly ArrayLike<number>[]
  /** The teacher's number of each of the student's pieces. */
  teacherIds: readonly number[]
  /**
   * `layers`: the states behind all layers, each of the student's standing for as many of the teacher's as there are to one of
   * its own. `embedding`: the last states, and their mean over each text.
   */
  objective: 'layers' | 'embedding'
  tokensPerStep: number
  lr: number
  warmupRatio: number
  seed: number
  onStep: (progress: { step: number; totalSteps: number; loss: number; tokensPerSecond: number }) => void
}

export interface DistillResult {
  steps: number
  tokens: number
  seconds: number
  losses: number[]
}

/**
 * One pass over the texts, packed. The loss is the mean of |s - t|^2 / |t|^2 over the pairs that the objective compares, so 1 is
 * what a student that gives zeros has. Embeddings of pieces are the teacher's and stay as they are: a short training would only
 * disturb those of rare ones.
 */
export async function distill(options: DistillOptions): Promise<DistillResult> {
  const { teacher, student, texts, tokensPerStep } = options
  const start = performance.now()
  for (const p of student.embeddings.parameters()) p.requiresGrad_(false)
  const trained = [...student.encoder.parameters()]
  const lengths = texts.map(({ length }) => length)
  const order = sampleIndices(texts.length, { seed: options.seed })
  const batches = makeBatches(lengths, { maxTokensPerBatch: tokensPerStep, padded: false, order })
  const optimizer = new AdamW(trained, { lr: options.lr, weightDecay: 0 })
  const schedule = getCosineScheduleWithWarmup(optimizer, {
    numWarmupSteps: Math.ceil(batches.length * options.warmupRatio),
    numTrainingSteps: batches.length,
  })
  const losses: number[] = []
  let tokens = 0
  // dropout would only blur what is to be matched
  teacher.eval()
  student.eval()
  for (const [i, indices] of batches.entries()) {
    const { inputIds, cuSeqlens } = pack(indices.map((index) => texts[index]))
    const wanted = noGrad(() =>
      statesOf(
        teacher,
        inputIds.map((id) => options.teacherIds[id]),
        cuSeqlens,
      ),
    )
    const given = statesOf(student, inputIds, cuSeqlens)
    const loss =
      options.objective === 'layers'
        ? layerDifference(given, wanted)
        : embeddingDifference(given.at(-1)!, wanted.at(-1)!, cuSeqlens)
    loss.backward()
    clipGradNorm_(trained, 1)
    await optimizer.step()
    optimizer.zeroGrad()
    schedule.step()
    losses.push(await loss.item())
    tokens += inputIds.length
    const tokensPerSecond = (tokens / (performance.now() - start)) * 1000
    options.onStep({ step: i + 1, totalSteps: batches.length, loss: losses[i], tokensPerSecond })
  }
  return { steps: batches.length, tokens, seconds: (performance.now() - start) / 1000, losses }
}

/** The states behind every layer for a packed row, each [1, T, H]. */
function statesOf(model: BertModel, ids: Int32Array, cuSeqlens: Int32Array): readonly Tensor[] {
  const inputs = { inputIds: tensor(ids, [1, ids.length]), cuSeqlens, outputHiddenStates: true }
  const { hiddenStates = [] } = model(inputs)
  return hiddenStates.slice(1) // the first are the embeddings
}

/** |s - t|^2 / |t|^2. */
const relative = (given: Tensor, wanted: Tensor): Tensor =>
  F.mseLoss(given, wanted).div(wanted.square().mean())

function layerDifference(student: readonly Tensor[], teacher: readonly Tensor[]): Tensor {
  const ratio = teacher.length / student.length
  const parts = student.map((states, i) => relative(states, teacher[(i + 1) * ratio - 1]))
  return parts.reduce((sum, part) => sum.add(part)).div(parts.length)
}

function embeddingDifference(student: Tensor, teacher: Tensor, cuSeqlens: Int32Array): Tensor {
  const tokens = student.shape[1]
  const texts = cuSeqlens.length - 1
  const shares = new Float32Array(texts * tokens)
  for (let i = 0; i < texts; i++) {
    const [begin, end] = [cuSeqlens[i], cuSeqlens[i + 1]]
    shares.fill(1 / (end - begin), i * tokens + begin, i * tokens + end)
  }
  const means = tensor(shares, [texts, tokens]) // [S, T], times [T, H] gives [S, H]
  const pooled = relative(means.matmul(student.squeeze(0)), means.matmul(teacher.squeeze(0)))
  return relative(student, teacher).add(pooled).div(2)
}

/** Means of the last hidden states of each text: what all-MiniLM calls the embedding, before it is normalised. */
export async function embed(model: BertModel, texts: readonly ArrayLike<number>[]): Promise<Float32Array[]> {
  const width = model.config.hidden_size
  const lengths = texts.map(({ length }) => length)
  const out: Float32Array[] = []
  for (const indices of makeBatches(lengths, { maxTokensPerBatch: 2048, padded: false })) {
    const { inputIds, cuSeqlens } = pack(indices.map((i) => texts[i]))
    const row = tensor(inputIds, [1, inputIds.length])
    const states = await noGrad(() => model({ inputIds: row, cuSeqlens })).lastHiddenState.data()
    for (const [i, index] of indices.entries())
      out[index] = mean(states, cuSeqlens[i], cuSeqlens[i + 1], width)
  }
  return out
}

function mean(states: ArrayLike<number>, begin: number, end: number, width: number): Float32Array {
  const out = new Float32Array(width)
  for (let t = begin; t < end; t++)
    for (let d = 0; d < width; d++) out[d] += states[t * width + d] / (end - begin)
  return out
}

/** Mean cosine of the angles between vectors of two lists. */
export function meanCosine(a: readonly Float32Array[], b: readonly Float32Array[]): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const cosines = a.map((x, i) => dot(x, b[i]) / Math.sqrt(dot(x, x) * dot(b[i], b[i])))
  return cosines.reduce((sum, c) => sum + c, 0) / cosines.length
}
