/**
 * Fine-tuning and generation in a page: `npm run example:browser`, then open the address that it prints. (Outside this
 * repository the imports are 'tunesmith' and 'tunesmith/transformers'.)
 */
import { manualSeed, noGrad, setDefaultDevice } from '../../core/index.ts'
import {
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  TextStreamer,
  Trainer,
} from '../../transformers/index.ts'

// folders of the server, here Vite's publicDir; ids of the Hub would do as well
const ENCODER = './encoder'
const GENERATOR = './generator'

type Classifier = Awaited<ReturnType<typeof AutoModelForSequenceClassification.fromPretrained>>
type Tokenizer = Awaited<ReturnType<typeof AutoTokenizer.fromPretrained>>

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T
const trainButton = element<HTMLButtonElement>('train')
const generateButton = element<HTMLButtonElement>('generate')

let classifier: { model: Classifier; tokenizer: Tokenizer } | null = null

/** Lines `label: text`. */
function readExamples(): { label: string; text: string }[] {
  return element<HTMLTextAreaElement>('examples')
    .value.split('\n')
    .map((line) => /^\s*([^:]+):\s*(.+)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, label, text]) => ({ label: label.trim(), text }))
}

async function train(): Promise<void> {
  const examples = readExamples()
  const labels = [...new Set(examples.map(({ label }) => label))]
  const tokenizer = await AutoTokenizer.fromPretrained(ENCODER)
  manualSeed(0)
  const model = await AutoModelForSequenceClassification.fromPretrained(ENCODER, {
    config: {
      id2label: Object.fromEntries(labels.entries()),
      label2id: Object.fromEntries(labels.map((label, id) => [label, id])),
    },
  })
  const args = { epochs: 10, batchSize: 8, lr: 1e-3 }
  const onStep = ({ step, totalSteps, loss }: { step: number; totalSteps: number; loss: number }) => {
    element<HTMLProgressElement>('progress').value = step / totalSteps
    element('training').textContent = `step ${step} of ${totalSteps}, loss ${loss.toFixed(3)}`
  }
  const trainer = new Trainer({ model, tokenizer, task: 'text-classification', args, onStep })
  await trainer.train(examples)
  classifier = { model, tokenizer }
  await classify()
}

async function classify(): Promise<void> {
  if (!classifier) return
  const { model, tokenizer } = classifier
  const { inputIds } = tokenizer([element<HTMLInputElement>('text').value], { truncation: true })
  const scores = await noGrad(() => model({ inputIds }).logits.softmax(-1)).data()
  const labels = Object.values(model.config.id2label)
  element('label').textContent = labels.map((label, i) => `${label} ${scores[i].toFixed(3)}`).join('   ')
}

async function generate(): Promise<void> {
  const tokenizer = await AutoTokenizer.fromPretrained(GENERATOR)
  const model = await AutoModelForCausalLM.fromPretrained(GENERATOR)
  const prompt = element<HTMLInputElement>('prompt').value
  const story = element('story')
  story.textContent = prompt
  const onText = (text: string) => story.append(text)
  await model.generate([tokenizer.encode(prompt)], {
    maxNewTokens: 80,
    streamer: new TextStreamer(tokenizer, { skipPrompt: true, onText }),
  })
}

/** A button that does one thing at a time and shows errors below it. */
function onClick(button: HTMLButtonElement, output: string, action: () => Promise<void>): void {
  button.disabled = false
  button.addEventListener('click', async () => {
    button.disabled = true
    await action().catch((error: Error) => {
      element(output).textContent = error.message
    })
    button.disabled = false
  })
}

const { description } = await setDefaultDevice('auto')
element('device').textContent = crossOriginIsolated
  ? description
  : `${description}; with the headers of vite.config.ts it would use all cores`
onClick(trainButton, 'training', train)
onClick(generateButton, 'story', generate)
element('text').addEventListener('input', classify)
