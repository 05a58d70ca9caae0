import { type Command, Option } from 'commander'
import type { GenerateOptions } from '../../transformers/generation/generate.ts'
import { type DeviceArguments, useDevice } from '../command-line/device.ts'
import { interruptSignal } from '../command-line/interrupt.ts'
import {
  deviceOption,
  fraction,
  jsonOption,
  nonNegativeInteger,
  positiveInteger,
  positiveNumber,
  threadsOption,
} from '../command-line/options.ts'
import { notice, printJson } from '../command-line/output.ts'
import { type ProfileArguments, profiled, profileOption } from '../command-line/profile.ts'

interface GenerateArguments extends DeviceArguments, ProfileArguments {
  model: string
  prompt: string
  chat?: boolean
  maxNewTokens: number
  doSample?: boolean
  temperature?: number
  topK?: number
  topP?: number
  repetitionPenalty?: number
  numBeams?: number
  seed: number
  dtype: 'auto' | 'float32' | 'float16' | 'bfloat16'
  json?: boolean
}

export function registerGenerate(program: Command): void {
  const option = (flags: string, description: string, parse: (text: string) => number) =>
    new Option(flags, description).argParser(parse)
  program
    .command('generate')
    .description('continues a text with a causal language model, and prints it as it comes')
    .requiredOption('--model <id or folder>', 'the language model')
    .requiredOption('--prompt <text>', 'the text to continue, with --chat what the user says')
    .option('--chat', "put the prompt into the model's chat template")
    .addOption(option('--max-new-tokens <n>', 'tokens to add at most', positiveInteger).default(128))
    .option('--do-sample', "draw from the distribution (default: as the model's generation_config.json says)")
    .option('--no-do-sample', 'always take the best token')
    .addOption(option('--temperature <x>', 'sampling: divides the scores', positiveNumber))
    .addOption(option('--top-k <n>', 'sampling: only from the n best tokens', nonNegativeInteger))
    .addOption(
      option('--top-p <x>', 'sampling: only from the best tokens of this probability together', fraction),
    )
    .addOption(option('--repetition-penalty <x>', 'over 1: less of what was there before', positiveNumber))
    .addOption(option('--num-beams <n>', 'beams of a beam search (only 1 is built)', positiveInteger))
    .addOption(option('--seed <n>', 'of sampling', nonNegativeInteger).default(42))
    .addOption(
      new Option('--dtype <name>', 'how the weights are kept in memory; auto as they are in the file')
        .choices(['auto', 'float32', 'float16', 'bfloat16'])
        .default('auto'),
    )
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(profileOption())
    .addOption(jsonOption())
    .action(generateText)
}

async function generateText(args: GenerateArguments): Promise<void> {
  const signal = interruptSignal('ending after this token')
  const { InputError } = await import('../../hub/errors.ts')
  const { asInputError, loadTokenizer, modelFolder } = await import('../command-line/model.ts')
  const { AutoConfig, AutoModelForCausalLM } = await import('../../transformers/auto.ts')
  const { checkOptions, checkValues } = await import('../../transformers/generation/config.ts')
  const options = generationOptions(args)
  await asInputError(() => checkOptions(options))
  await asInputError(() => checkValues(options))
  const folder = await modelFolder(args.model)
  const config = (await AutoConfig.fromPretrained(folder)) as { max_position_embeddings?: number }
  const tokenizer = await loadTokenizer(folder)
  const ids = await asInputError(() => promptIds(tokenizer, args))
  if (ids.length === 0) throw new InputError('[generate] the prompt is empty; give at least a word')
  const context = config.max_position_embeddings ?? Number.POSITIVE_INFINITY
  if (ids.length >= context)
    throw new InputError(
      `[generate] the prompt has ${ids.length} tokens, the model's context only ${context}; shorten it`,
    )
  await useDevice(args)
  const { manualSeed } = await import('../../core/index.ts')
  manualSeed(args.seed)
  const model = await AutoModelForCausalLM.fromPretrained(folder, { dtype: args.dtype })
  const { TextStreamer } = await import('../../transformers/generation/streamer.ts')
  let text = ''
  const words = new TextStreamer(tokenizer, {
    skipPrompt: true,
    onText: (piece) => {
      text += piece
      process.stdout.write(piece)
    },
  })
  const clock = new TokenClock()
  const streamer = {
    put(tokens: readonly number[]) {
      clock.tick()
      words.put(tokens)
    },
    end: () => words.end(),
  }
  const { newTokens } = await profiled(args, () => model.generate([ids], { ...options, signal, streamer }))
  process.stdout.write('\n')
  const { prefillSeconds, tokensPerSecond } = clock
  notice(
    `${ids.length} + ${newTokens} tokens, the first after ${prefillSeconds.toFixed(2)} s, then ${tokensPerSecond.toFixed(1)} a second`,
  )
  if (args.json) printJson({ text, promptTokens: ids.length, newTokens, prefillSeconds, tokensPerSecond })
}

/** Those of the command's options that `generate` takes, as far as they were given. */
function generationOptions(args: GenerateArguments): GenerateOptions & { numBeams?: number } {
  const { maxNewTokens, doSample, temperature, topK, topP, repetitionPenalty, numBeams } = args
  const all = { maxNewTokens, doSample, temperature, topK, topP, repetitionPenalty, numBeams }
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined))
}

interface PromptTokenizer {
  encode(text: string): number[]
  applyChatTemplate(
    conversation: { role: string; content: string }[],
    options: { addGenerationPrompt: true; returnDict: false },
  ): number[]
}

function promptIds(tokenizer: PromptTokenizer, { prompt, chat }: GenerateArguments): number[] {
  if (!chat) return tokenizer.encode(prompt)
  const conversation = [{ role: 'user', content: prompt }]
  return tokenizer.applyChatTemplate(conversation, { addGenerationPrompt: true, returnDict: false })
}

/** When the prompt was read, and how fast tokens came after it. */
class TokenClock {
  readonly #start = performance.now()
  readonly #times: number[] = []

  /** The prompt comes first, then every new token. */
  tick(): void {
    this.#times.push(performance.now())
  }

  /** From the start to the first new token. */
  get prefillSeconds(): number {
    return ((this.#times[1] ?? this.#start) - this.#start) / 1000
  }

  /** Of the tokens after the first one. */
  get tokensPerSecond(): number {
    const count = this.#times.length - 2
    return count > 0 ? count / ((this.#times.at(-1)! - this.#times[1]) / 1000) : 0
  }
}
