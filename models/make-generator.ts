/**
 * Makes `models/generator`: a small GPT-2 with a tokenizer of its own, trained from scratch on public-domain prose.
 *
 *     node models/make-generator.ts [--output DIR] [--max-steps N]
 *     node models/measure-generator.ts [--folder DIR]
 *
 * The second command measures what the first has saved, and writes the model card.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { manualSeed, setDefaultDevice, shutdown } from '../core/index.ts'
import { byteLevelAlphabet } from '../tokenization/index.ts'
import { GPT2Config, GPT2LMHeadModel } from '../transformers/models/gpt2.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { Trainer } from '../transformers/trainer/index.ts'
import { addresses, chapters, split } from './corpus.ts'
import { END_OF_TEXT, trainTokenizer } from './generator-tokenizer.ts'
import { saveInHalf } from './save-half.ts'

const VOCABULARY = 4096
const CONTEXT = 256
const SEED = 7
const BLOCKS_PER_STEP = 4
const { values: args } = parseArgs({
  options: {
    output: { type: 'string', default: new URL('./generator', import.meta.url).pathname },
    'max-steps': { type: 'string', default: '800' },
  },
})
const maxSteps = Number(args['max-steps'])

await setDefaultDevice('cpu')
await mkdir(args.output, { recursive: true })
const train = [addresses(), chapters()].flatMap((documents) => split(documents).train.map(({ text }) => text))

await writeTokenizer(args.output)
const tokenizer = await AutoTokenizer.fromPretrained(args.output)
manualSeed(SEED)
const end = tokenizer.eosTokenId
const model = new GPT2LMHeadModel(
  new GPT2Config({
    vocab_size: VOCABULARY,
    n_positions: CONTEXT,
    n_embd: 192,
    n_layer: 4,
    n_head: 6,
    // the text is seen once at most: there is nothing to overfit
    resid_pdrop: 0,
    embd_pdrop: 0,
    attn_pdrop: 0,
    bos_token_id: end,
    eos_token_id: end,
  }),
)
model.generationConfig = {
  bos_token_id: end,
  eos_token_id: end,
  pad_token_id: end,
  do_sample: true,
  temperature: 0.8,
  top_k: 50,
  max_new_tokens: 120,
}

let averageLoss = 0
const trainer = new Trainer({
  model,
  tokenizer,
  task: 'causal-lm',
  args: {
    maxSteps,
    batchSize: BLOCKS_PER_STEP,
    maxLength: CONTEXT,
    lr: 3e-3,
    scheduler: 'cosine',
    warmupRatio: 0.05,
    weightDecay: 0.1,
    seed: SEED,
  },
  onStep({ step, totalSteps, loss, tokensPerSecond }) {
    averageLoss = step === 1 ? loss : 0.95 * averageLoss + 0.05 * loss
    if (step % 25 === 0 || step === totalSteps)
      console.error(
        `step ${step}/${totalSteps}  loss ${averageLoss.toFixed(3)}  ${tokensPerSecond.toFixed(0)} tokens/s`,
      )
  },
})
const training = await trainer.train(train.map((text) => ({ text })))
await saveInHalf(model, GPT2LMHeadModel, args.output, 'float16')
await writeFile(join(args.output, 'training.json'), `${JSON.stringify(training)}\n`)
await shutdown()

async function writeTokenizer(folder: string): Promise<void> {
  const backend = await trainTokenizer(train, VOCABULARY, await byteLevelAlphabet())
  await writeFile(join(folder, 'tokenizer.json'), backend.toString(true))
  const config = {
    bos_token: END_OF_TEXT,
    eos_token: END_OF_TEXT,
    pad_token: END_OF_TEXT,
    unk_token: END_OF_TEXT,
    add_prefix_space: false,
    model_max_length: CONTEXT,
    tokenizer_class: 'GPT2TokenizerFast',
  }
  await writeFile(join(folder, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`)
}
