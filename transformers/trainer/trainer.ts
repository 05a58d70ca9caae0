import { manualSeed, noGrad, type Tensor } from '../../core/index.ts'
import { InputError } from '../../hub/index.ts'
import type { Module } from '../../nn/index.ts'
import { AdamW, clipGradNorm_, getScheduler } from '../../nn/optim/index.ts'
import type { PreTrainedTokenizer } from '../../tokenization/index.ts'
import type { PretrainedConfig } from '../config.ts'
import {
  type SettledArguments,
  settleArguments,
  type TrainingArguments,
  type TrainingTask,
  USUAL_LENGTH,
} from './arguments.ts'
import { batchesByLength, plannedSteps, totalSteps } from './batches.ts'
import { CausalLm } from './causal-lm.ts'
import { TextClassification } from './classification.ts'
import { type Batch, type BatchInputs, collate, type Layout } from './collate.ts'
import { decayGroups } from './groups.ts'
import type { Encoded, Task } from './task.ts'
import { type TrainingTexts, trainingTexts } from './texts.ts'

/** What a model must be to be trained here: those of `AutoModelForSequenceClassification` and `...ForCausalLM` are. */
export interface TrainableModel
  extends Pick<Module<never[], unknown>, 'namedModules' | 'namedParameters' | 'parameters'> {
  train(on?: boolean): unknown
  eval(): unknown
  (inputs: BatchInputs & { numItemsInBatch: number }): { loss?: Tensor | null; logits: Tensor }
  readonly config: PretrainedConfig
  savePretrained(folder: string): Promise<void>
}

export interface TrainingProgress {
  /** Optimizer steps done, and to do in all. */
  step: number
  totalSteps: number
  epoch: number
  /** Mean over the texts (tokens, for a language model) of the step. */
  loss: number
  lr: number
  /** Real tokens since the beginning, and a second. */
  tokens: number
  tokensPerSecond: number
}

export interface TrainingResult {
  steps: number
  epoch: number
  /** Wall-clock time of the training, tokenization included. */
  trainSeconds: number
  /** Real tokens, without padding. */
  tokens: number
  tokensPerSecond: number
  /** Share of all computed places that was padding. */
  paddingRatio: number
  finalLoss: number
  /** Of each step. */
  losses: number[]
  /** Whether the signal ended it early. */
  interrupted: boolean
}

export interface TrainerOptions {
  model: TrainableModel
  tokenizer: PreTrainedTokenizer
  task: TrainingTask
  args?: TrainingArguments
  /** Columns of a data set. Default: those with usual names, such as text, sentence and label. */
  textColumn?: string
  labelColumn?: string
  /** Called after each step. */
  onStep?: (progress: TrainingProgress) => void
  /** Ends training after the step under way. */
  signal?: AbortSignal
}

/** Losses that may wait to be read, so that a device with a queue is never waited for right away. */
const PENDING_LOSSES = 2

/**
 * Fine-tunes a model on texts: AdamW with weight decay on matrices alone, a schedule with warm-up, clipping, batches
 * packed into one row without padding, and gradients accumulated as if the batches of a step were one.
 *
 * ```ts
 * const trainer = new Trainer({ model, tokenizer, task: 'text-classification', args: { epochs: 1, batchSize: 32 } })
 * await trainer.train(trainTexts) // [{ text: 'A fine film.', label: 'positive' }, ...], or what loadDataset gives
 * console.log(await trainer.evaluate(testTexts)) // { loss, accuracy, macroF1 }
 * await trainer.save('my-model')
 * ```
 */
export class Trainer {
  readonly model: TrainableModel
  readonly tokenizer: PreTrainedTokenizer
  readonly args: SettledArguments & { maxLength: number }
  readonly #options: TrainerOptions
  readonly #task: Task
  readonly #layout: Layout

  /** @throws RangeError for arguments that make no sense */
  constructor(options: TrainerOptions) {
    const { model, tokenizer, task } = options
    this.#options = options
    this.model = model
    this.tokenizer = tokenizer
    const args = settleArguments(task, options.args ?? {})
    this.args = { ...args, maxLength: lengthOf(args, model.config, tokenizer) }
    const { maxLength } = this.args
    this.#task =
      task === 'causal-lm'
        ? new CausalLm({ tokenizer, maxLength })
        : new TextClassification({ tokenizer, maxLength, label2id: model.config.label2id })
    this.#layout = args.packing
      ? { packing: true }
      : { packing: false, padTokenId: padTokenOf(model.config, tokenizer) }
  }

  /**
   * Trains on the texts, and leaves the model in evaluation mode.
   * @throws RangeError for a label that the model does not know; InputError where the loss is no longer a number
   */
  async train(texts: TrainingTexts): Promise<TrainingResult> {
    const { model, args } = this
    const { signal, onStep } = this.#options
    const start = performance.now()
    const seconds = () => (performance.now() - start) / 1000
    manualSeed(args.seed)
    const data = await this.#encode(texts)
    const { lengths } = data.texts
    const total = totalSteps(lengths, args)
    const optimizer = new AdamW(decayGroups(model, args.weightDecay), { lr: args.lr })
    const schedule = getScheduler(scheduleName(args), optimizer, {
      numWarmupSteps: Math.ceil(total * args.warmupRatio),
      numTrainingSteps: total,
    })
    const losses: number[] = []
    const pending: { parts: Tensor[]; report: Omit<TrainingProgress, 'loss'> }[] = []
    const readOldest = async () => {
      const { parts, report } = pending.shift()!
      let loss = 0
      for (const part of parts) loss += await part.item()
      losses.push(loss)
      if (!Number.isFinite(loss))
        throw new InputError(
          `[Trainer] the loss is ${loss} at step ${report.step}: try a lower learning rate than ${args.lr}`,
        )
      onStep?.({ ...report, loss })
    }
    let [steps, epoch, tokens, places] = [0, 0, 0, 0]
    model.train()
    for (const planned of plannedSteps(lengths, args, total)) {
      if (signal?.aborted) break
      const lr = schedule.getLastLr()[0]
      const { parts, batches } = this.#accumulate(data, planned.batches)
      if (args.maxGradNorm > 0) clipGradNorm_(model.parameters(), args.maxGradNorm)
      await optimizer.step()
      optimizer.zeroGrad()
      schedule.step()
      for (const batch of batches) {
        tokens += batch.tokens
        places += batch.places
      }
      epoch = planned.epoch
      steps++
      pending.push({
        parts,
        report: { step: steps, totalSteps: total, epoch, lr, tokens, tokensPerSecond: tokens / seconds() },
      })
      if (pending.length > PENDING_LOSSES) await readOldest()
    }
    while (pending.length > 0) await readOldest()
    model.eval()
    const trainSeconds = seconds()
    return {
      steps,
      epoch,
      trainSeconds,
      tokens,
      tokensPerSecond: tokens / trainSeconds,
      paddingRatio: places === 0 ? 0 : 1 - tokens / places,
      finalLoss: losses.at(-1) ?? Number.NaN,
      losses,
      interrupted: steps < total,
    }
  }

  async #encode(texts: TrainingTexts): Promise<Encoded> {
    const { task, textColumn, labelColumn } = this.#options
    const { label2id } = this.model.config
    const needsLabel = task === 'text-classification'
    return this.#task.encode(await trainingTexts(texts, { needsLabel, label2id, textColumn, labelColumn }))
  }

  /**
   * Records forward and backward of all batches of a step. Each loss is the batch's sum over the step's number of terms, so
   * that 4 batches of 2 give the gradients of one of 8, however long their texts are.
   */
  #accumulate(data: Encoded, batches: readonly number[][]): { parts: Tensor[]; batches: Batch[] } {
    const numItemsInBatch = batches.reduce((sum, indices) => sum + this.#task.targets(data, indices), 0)
    const collated = batches.map((indices) => this.#collate(data, indices))
    const parts = collated.map(({ inputs }) => {
      const { loss } = this.model({ ...inputs, numItemsInBatch })
      if (!loss) throw new Error('[Trainer] the model gives no loss for labels')
      loss.backward()
      return loss
    })
    return { parts, batches: collated }
  }

  #collate(data: Encoded, indices: readonly number[]): Batch {
    const texts = indices.map((i) => data.texts.at(i))
    return collate(texts, this.#task.labels(data, indices), this.#layout)
  }

  /** Loss and the task's measures on texts that have labels. Nothing is trained, dropout is off. */
  async evaluate(texts: TrainingTexts): Promise<Record<string, number>> {
    const data = await this.#encode(texts)
    const evaluation = this.#task.evaluation(data)
    this.model.eval()
    for (const indices of batchesByLength(data.texts.lengths, this.args)) {
      const { inputs } = this.#collate(data, indices)
      const { loss, logits } = noGrad(() => this.model({ ...inputs, numItemsInBatch: 1 }))
      if (!loss) throw new Error('[Trainer] the model gives no loss for labels')
      const targets = this.#task.targets(data, indices)
      await evaluation.add({ indices, loss: await loss.item(), targets, logits })
    }
    return evaluation.metrics()
  }

  /**
   * Saves model and tokenizer so that `fromPretrained`, here and in Python, loads them.
   * @throws InputError where the folder exists and holds no model
   */
  async save(folder: string): Promise<void> {
    const { saveModelFolder } = await import('./node-model-folder.ts')
    await saveModelFolder(folder, this.model, this.tokenizer)
  }
}

/** How long texts may be: what is asked for, or what the model takes, within the usual. */
function lengthOf(args: SettledArguments, config: PretrainedConfig, tokenizer: PreTrainedTokenizer): number {
  const context = contextOf(config)
  if (args.maxLength === undefined)
    return Math.min(context, tokenizer.modelMaxLength, args.batchTokens ?? USUAL_LENGTH, USUAL_LENGTH)
  if (args.maxLength > (args.batchTokens ?? Number.POSITIVE_INFINITY))
    throw new RangeError(
      `[Trainer] maxLength ${args.maxLength} is over batchTokens ${args.batchTokens}: a text that long fits into no batch`,
    )
  if (args.maxLength > context)
    throw new RangeError(
      `[Trainer] maxLength ${args.maxLength} is over the ${context} tokens of the model's context`,
    )
  return args.maxLength
}

function contextOf(config: PretrainedConfig): number {
  const { max_position_embeddings, n_positions } = config as {
    max_position_embeddings?: number
    n_positions?: number
  }
  return max_position_embeddings ?? n_positions ?? Number.POSITIVE_INFINITY
}

/** Any id will do where there is none for padding: it is masked. */
function padTokenOf(config: PretrainedConfig, tokenizer: PreTrainedTokenizer): number {
  return config.pad_token_id ?? tokenizer.padTokenId ?? tokenizer.eosTokenId ?? 0
}

/** Constant with a warm-up is a schedule of its own in transformers. */
function scheduleName({ scheduler, warmupRatio }: SettledArguments): string {
  return scheduler === 'constant' && warmupRatio > 0 ? 'constant_with_warmup' : scheduler
}
