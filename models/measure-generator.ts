/**
 * Measures the saved generator on held-out text, looks for copies from the corpus in what it writes, and writes the model card.
 *
 *     node models/measure-generator.ts [--folder DIR]
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { manualSeed, setDefaultDevice, shutdown } from '../core/index.ts'
import { generate } from '../transformers/generation/generate.ts'
import { GPT2LMHeadModel } from '../transformers/models/gpt2.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { Trainer, type TrainingResult } from '../transformers/trainer/index.ts'
import { longestCopies } from './copies.ts'
import { addresses, chapters, split } from './corpus.ts'
import { generatorCard } from './generator-card.ts'

/** Beginnings that are not in the corpus, so that what follows is the model's own. */
const PROMPTS = [
  'The sea',
  'It is the duty of every captain',
  'The people of this ship',
  'In the year of the whale',
]
const CHARACTERS = 2000
/** How many samples of that length are compared with the corpus; the first is made with this seed, and so on. */
const SAMPLES = 20
const SEED = 1

const { values: args } = parseArgs({
  options: { folder: { type: 'string', default: new URL('./generator', import.meta.url).pathname } },
})
const { folder } = args

await setDefaultDevice('cpu')
const parts = [addresses(), chapters()].map(split)
const train = parts.flatMap((part) => part.train.map(({ text }) => text))
const heldOut = parts.flatMap((part) => part.heldOut.map(({ text }) => text))
const tokenizer = await AutoTokenizer.fromPretrained(folder)
const model = await GPT2LMHeadModel.fromPretrained(folder)
const context = model.config.n_positions
const evaluation = await new Trainer({
  model,
  tokenizer,
  task: 'causal-lm',
  args: { batchSize: 8, maxLength: context },
}).evaluate(heldOut.map((text) => ({ text })))
console.error(`held out: ${evaluation.bitsPerByte.toFixed(3)} bits per byte`)

const samples: string[] = []
for (let i = 0; i < SAMPLES; i++) samples.push(await write(SEED + i))
const copies = longestCopies(samples, [...train, ...heldOut].join('\n'))
for (const copy of copies) console.error(`${copy.length} characters copied: ${JSON.stringify(copy)}`)
const training = JSON.parse(await readFile(join(folder, 'training.json'), 'utf8')) as TrainingResult
await writeFile(
  join(folder, 'README.md'),
  generatorCard({
    parameters: model.numParameters(),
    config: model.config,
    training,
    trainBytes: bytesOf(train),
    heldOutBytes: bytesOf(heldOut),
    heldOutDocuments: heldOut.length,
    bitsPerByte: evaluation.bitsPerByte,
    perplexity: evaluation.perplexity,
    copies: copies.map(({ length }) => length),
    sample: samples[0].slice(0, 500),
  }),
)
await shutdown()

/** As many characters as the check asks for, in pieces that fit the context, with the settings that the model carries. */
async function write(seed: number): Promise<string> {
  manualSeed(seed)
  let text = ''
  for (let i = 0; text.length < CHARACTERS; i++) {
    const prompt = tokenizer(PROMPTS[i % PROMPTS.length]).inputIds as number[]
    const { sequences } = await generate(model, prompt, { maxNewTokens: context - prompt.length })
    text += `${tokenizer.decode(sequences[0], { skipSpecialTokens: true })}\n\n`
  }
  return text.slice(0, CHARACTERS)
}

function bytesOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}
