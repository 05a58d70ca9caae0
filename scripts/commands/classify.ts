import type { Command } from 'commander'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { deviceOption, jsonOption, repeated, threadsOption } from '../command-line/options.ts'
import { printJson, table } from '../command-line/output.ts'
import { type ProfileArguments, profiled, profileOption } from '../command-line/profile.ts'

interface ClassifyArguments extends DeviceArguments, ProfileArguments {
  model: string
  text: string[]
  json?: boolean
}

export function registerClassify(program: Command): void {
  program
    .command('classify')
    .description('labels texts with a text classifier')
    .requiredOption('--model <id or folder>', 'the classifier')
    .requiredOption('--text <text>', 'a text; may be repeated', repeated)
    .addOption(deviceOption())
    .addOption(profileOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(classify)
}

async function classify(args: ClassifyArguments): Promise<void> {
  const { loadTokenizer, modelFolder } = await import('../command-line/model.ts')
  const folder = await modelFolder(args.model)
  const { loadClassifier, classifyTexts } = await import('../command-line/classifier.ts')
  const tokenizer = await loadTokenizer(folder)
  await useDevice(args)
  const model = await loadClassifier(folder)
  const results = await profiled(args, () => classifyTexts(model, tokenizer, args.text))
  if (args.json) printJson({ results })
  else {
    const rows = results.map(({ label, score, text }) => [label, score.toFixed(4), shortened(text)])
    process.stdout.write(`${table(rows)}\n`)
  }
}

const shortened = (text: string): string => {
  const line = text.replace(/\s+/g, ' ')
  return line.length > 72 ? `${line.slice(0, 71)}…` : line
}
