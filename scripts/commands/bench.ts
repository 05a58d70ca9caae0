import { type Command, Option } from 'commander'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { deviceOption, jsonOption, positiveNumber, threadsOption } from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'

/** Parts of the bench: modules of the folder bench/, in the order in which all of them run. */
const PARTS = [
  'matmul',
  'matvec',
  'attention',
  'adamw',
  'finetune',
  'embed',
  'generate',
  'tokenize',
  'load',
  'hostoverhead',
  'memory',
] as const

interface BenchArguments extends DeviceArguments {
  seconds: number
  models?: string
  data?: string
  json?: boolean
}

interface PartResult {
  value: number
  unit: string
  detail: Record<string, unknown>
}

interface Part {
  run(options: { device: string; seconds: number; models?: string; data?: string }): Promise<PartResult>
}

export function registerBench(program: Command): void {
  program
    .command('bench')
    .description('measures parts of the library on this machine')
    .argument('[names...]', `parts: ${PARTS.join(', ')} (default: all)`)
    .addOption(
      new Option('--seconds <x>', 'about how long each measurement may take')
        .argParser(positiveNumber)
        .default(5),
    )
    .option('--models <folder>', 'real models, laid out as on the Hub (default: random weights)')
    .option('--data <folder>', "SST-2's train.tsv and dev.tsv (default: random words)")
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(bench)
}

async function bench(names: string[], args: BenchArguments): Promise<void> {
  const { InputError } = await import('../../hub/errors.ts')
  const wanted = names.flatMap((name) => name.split(',')).filter((name) => name !== '')
  for (const name of wanted)
    if (!PARTS.some((part) => part === name))
      throw new InputError(`[bench] ${name} is none of ${PARTS.join(', ')}`)
  const { shutdown } = await import('../../core/index.ts')
  const results: Record<string, PartResult> = {}
  for (const name of wanted.length > 0 ? wanted : PARTS) {
    // a device of its own for each, so that none finds the memory of another
    const device = await useDevice(args)
    const { run } = await loadPart(name)
    results[name] = await run({
      device: device.name,
      seconds: args.seconds,
      models: args.models,
      data: args.data,
    })
    const { value, unit, detail } = results[name]
    notice(`${name}: ${value} ${unit}  ${JSON.stringify(detail)}`)
    await shutdown()
  }
  if (args.json) printJson(results)
}

/** The parts are not in the published package, whose users have no peers to compare with. */
async function loadPart(name: string): Promise<Part> {
  const { InputError } = await import('../../hub/errors.ts')
  const url = new URL(`../../bench/${name}.ts`, import.meta.url)
  try {
    return (await import(url.href)) as Part
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new InputError(
      '[bench] the parts of the bench are in the repository, not in the package: clone it',
      {
        cause: error,
      },
    )
  }
}
