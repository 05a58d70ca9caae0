import { type Command, Option } from 'commander'
import type { TrainingArguments, TrainingResult, TrainingTask } from '../../transformers/trainer/index.ts'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { interruptSignal } from '../command-line/interrupt.ts'
import {
  deviceOption,
  fraction,
  jsonOption,
  nonNegativeInteger,
  nonNegativeNumber,
  positiveInteger,
  positiveNumber,
  threadsOption,
} from '../command-line/options.ts'
import { notice, peakMemoryBytes, printJson, table } from '../command-line/output.ts'
import { type ProfileArguments, profiled, profileOption } from '../command-line/profile.ts'
import type { DataArguments } from '../command-line/training-data.ts'

interface FinetuneArguments extends DeviceArguments, DataArguments, ProfileArguments, TrainingArguments {
  model: string
  task: TrainingTask
  output?: string
  json?: boolean
}

export function registerFinetune(program: Command): void {
  const option = (flags: string, description: string, parse: (text: string) => number) =>
    new Option(flags, description).argParser(parse)
  program
    .command('finetune')
    .description('fine-tunes a pretrained model on texts')
    .requiredOption('--model <id or folder>', 'the model to begin with')
    .requiredOption('--train <file>', 'texts to learn from: tsv, csv, jsonl, txt or parquet')
    .addOption(
      new Option('--task <name>', 'what to learn')
        .choices(['text-classification', 'causal-lm'])
        .makeOptionMandatory(),
    )
    .option('--eval <file>', 'texts to measure on after the training')
    .option('--output <folder>', 'where to save model and tokenizer: a new folder, or that of a model')
    .option('--text-column <name>', 'column of the text (default: the one with a usual name)')
    .option('--label-column <name>', 'column of the label (default: the one with a usual name)')
    .addOption(option('--limit <n>', 'use only the first n texts of each file', positiveInteger))
    .addOption(option('--epochs <n>', 'times through the texts (default: 3)', positiveNumber))
    .addOption(option('--max-steps <n>', 'optimizer steps in all, in place of --epochs', positiveInteger))
    .addOption(option('--lr <x>', 'highest learning rate (default: 5e-5)', positiveNumber))
    .addOption(
      new Option('--scheduler <name>', 'course of the learning rate (default: linear)').choices([
        'linear',
        'cosine',
        'constant',
      ]),
    )
    .addOption(option('--warmup-ratio <x>', 'share of the steps in which it rises (default: 0)', fraction))
    .addOption(option('--batch-size <n>', 'texts of a batch (default: 32, causal-lm 8)', positiveInteger))
    .addOption(
      option('--batch-tokens <n>', 'tokens of a batch, in place of texts', positiveInteger).conflicts(
        'batchSize',
      ),
    )
    .addOption(option('--accumulate <n>', 'batches of an optimizer step (default: 1)', positiveInteger))
    .addOption(
      option(
        '--max-length <n>',
        'tokens of a text at most (default: the context, at most 512)',
        positiveInteger,
      ),
    )
    .option('--packing', 'lay texts side by side without padding (default)')
    .option('--no-packing', 'pad the texts of a batch to one length')
    .addOption(
      option('--weight-decay <x>', 'of matrices, not biases and norms (default: 0.01)', nonNegativeNumber),
    )
    .addOption(
      option(
        '--max-grad-norm <x>',
        'largest norm of the gradients, 0 for any (default: 1)',
        nonNegativeNumber,
      ),
    )
    .addOption(option('--seed <n>', 'of order, dropout and new weights (default: 42)', nonNegativeInteger))
    .addOption(deviceOption())
    .addOption(profileOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(finetune)
}

async function finetune(args: FinetuneArguments): Promise<void> {
  const signal = interruptSignal('ending after this step and saving')
  const { checkOutputFolder } = await import('../../transformers/trainer/node-model-folder.ts')
  if (args.output !== undefined) await checkOutputFolder(args.output)
  const { prepareTraining } = await import('../command-line/prepare-training.ts')
  const { data, loadModel, tokenizer } = await prepareTraining(args)
  const device = await useDevice(args)
  const { manualSeed } = await import('../../core/index.ts')
  const { Trainer } = await import('../../transformers/trainer/index.ts')
  const { asInputError } = await import('../command-line/model.ts')
  const { makeProgress } = await import('../command-line/progress.ts')
  manualSeed(args.seed ?? 42) // a new head starts from it
  const model = await loadModel()
  const progress = await makeProgress('training')
  const trainer = await asInputError(
    () =>
      new Trainer({
        model,
        tokenizer,
        task: args.task,
        args: trainingArguments(args),
        signal,
        onStep: ({ step, totalSteps, loss, tokensPerSecond }) =>
          progress.update(
            step,
            totalSteps,
            `loss ${loss.toFixed(4)}  ${Math.round(tokensPerSecond)} tokens/s`,
          ),
      }),
  )
  const train = () => trainer.train(data.train).finally(() => progress.stop())
  const result = await profiled(args, train)
  const metrics = data.eval && !result.interrupted ? await trainer.evaluate(data.eval) : undefined
  const saved = args.output !== undefined && result.steps > 0
  if (saved) await trainer.save(args.output!)
  notice(summary(result, metrics, saved ? args.output : undefined))
  if (!args.json) return
  const { task, model: modelName, output = null } = args
  printJson({
    task,
    model: modelName,
    device: device.name,
    threads: device.threads,
    ...result,
    eval: metrics ?? null,
    peakMemoryBytes: peakMemoryBytes(),
    output: saved ? output : null,
  })
}

/** Those of the command's options that the trainer takes. */
function trainingArguments(args: FinetuneArguments): TrainingArguments {
  const { epochs, maxSteps, lr, scheduler, warmupRatio, batchSize, batchTokens } = args
  const { accumulate, maxLength, packing, weightDecay, maxGradNorm, seed } = args
  return {
    ...{ epochs, maxSteps, lr, scheduler, warmupRatio, batchSize, batchTokens },
    ...{ accumulate, maxLength, packing, weightDecay, maxGradNorm, seed },
  }
}

function summary(
  result: TrainingResult,
  metrics: Record<string, number> | undefined,
  output: string | undefined,
): string {
  const measured = Object.entries(metrics ?? {}).map(([name, value]) => [`eval ${name}`, value.toFixed(4)])
  return table([
    ['steps', `${result.steps}${result.interrupted ? ' (interrupted)' : ''}`],
    ['loss', result.finalLoss.toFixed(4)],
    ['time', `${result.trainSeconds.toFixed(1)} s`],
    ['speed', `${Math.round(result.tokensPerSecond)} tokens/s`],
    ['padding', `${(100 * result.paddingRatio).toFixed(1)} %`],
    ...measured,
    ['saved to', output ?? 'nowhere (--output names a folder)'],
  ])
}
