/**
 * Makes `models/encoder` from all-MiniLM-L6-v2: layers 0, 2 and 4, a vocabulary of 16,000 pieces, then distilled on mails and
 * prose. The folder holds one round of distillation, `layers`; `embedding` is the other that there is.
 *
 *     node models/make-encoder.ts FOLDER_OF_ALL_MINILM [--output DIR] [--tokens N] [--rounds layers,embedding]
 *
 * A new folder begins anew; one that has a `training.json` is gone on with, after the rounds that are written there.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { manualSeed, setDefaultDevice, shutdown } from '../core/index.ts'
import { sampleIndices } from '../data/index.ts'
import { BertModel } from '../transformers/models/bert.ts'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import type { PreTrainedTokenizerFast } from '../transformers/tokenizer/pretrained.ts'
import { type DistillOptions, distill, embed, meanCosine } from './distill.ts'
import { type Cosines, type EncoderHistory, encoderCard } from './encoder-card.ts'
import { chooseIds, cutTokenizer, cutWeights, piecesOf, type WordPieceJson } from './encoder-cut.ts'
import { mailTexts, proseTexts } from './encoder-texts.ts'
import { saveInHalf } from './save-half.ts'

const PIECES = 16_000
const LAYERS = [0, 2, 4]
const MAX_LENGTH = 128
const SEED = 7
/** The rounds that were done. */
const HISTORY = 'training.json'
/** Texts of each kind on which student and teacher are compared. */
const COMPARED = 100

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: new URL('./encoder', import.meta.url).pathname },
    tokens: { type: 'string', default: '280000' },
    rounds: { type: 'string', default: 'layers' },
  },
})
const [source] = positionals
const tokens = Number(args.tokens)
const objectives = args.rounds.split(',').map((name): DistillOptions['objective'] => {
  if (name === 'layers' || name === 'embedding') return name
  throw new Error(`--rounds takes layers and embedding, not "${name}"`)
})
if (!source) throw new Error('usage: node models/make-encoder.ts FOLDER_OF_ALL_MINILM')

await setDefaultDevice('cpu')
manualSeed(SEED)
const [mails, prose] = [mailTexts(), proseTexts()]
const teacherTokenizer = await AutoTokenizer.fromPretrained(source)
const json = JSON.parse(await readFile(join(source, 'tokenizer.json'), 'utf8')) as WordPieceJson
const vocabularySize = Object.keys(json.model.vocab).length
const kept = chooseIds(json, countPieces([...mails.train, ...prose.train]), PIECES)

await mkdir(args.output, { recursive: true })
const teacher = await BertModel.fromPretrained(source)
const history = await readHistory()
const student = history.rounds.length > 0 ? await BertModel.fromPretrained(args.output) : await cutStudent()
const tokenizer = await AutoTokenizer.fromPretrained(args.output)

const compared = [mails.heldOut, prose.heldOut].map((texts) => sample(texts, COMPARED, SEED))
const targets: Float32Array[][] = []
for (const texts of compared) targets.push(await embed(teacher, encode(teacherTokenizer, texts)))
history.before ??= await cosines(student)
console.error('cosine to the teacher before', history.before)

for (const [i, objective] of objectives.entries()) {
  if (i < history.rounds.length) continue
  const texts = mixed(mails.train, prose.train, SEED + i)
  const { losses, ...round } = await distill({
    teacher,
    student,
    texts: upTo(tokens, encode(tokenizer, texts)),
    teacherIds: kept,
    objective,
    tokensPerStep: 1024,
    lr: 5e-4,
    warmupRatio: 0.05,
    seed: SEED + i,
    onStep({ step, totalSteps, loss, tokensPerSecond }) {
      if (step % 10 === 0 || step === totalSteps)
        console.error(
          `${objective} ${step}/${totalSteps}  loss ${loss.toFixed(4)}  ${tokensPerSecond.toFixed(0)} tokens/s`,
        )
    },
  })
  history.rounds.push({ objective, ...round, ...ends(losses) })
  await saveInHalf(student, BertModel, args.output, 'float16')
  await writeJson(join(args.output, HISTORY), history)
}

const saved = await BertModel.fromPretrained(args.output)
const after = await cosines(saved)
console.error('cosine to the teacher after', after)
const figures = { parameters: saved.numParameters(), pieces: PIECES, layers: LAYERS, after }
await writeFile(
  join(args.output, 'README.md'),
  encoderCard({ ...figures, before: history.before, rounds: history.rounds }),
)
await shutdown()

async function readHistory(): Promise<EncoderHistory> {
  const text = await readFile(join(args.output, HISTORY), 'utf8').catch(() => null)
  return text === null ? { rounds: [] } : (JSON.parse(text) as EncoderHistory)
}

/** The teacher without some layers and pieces; its tokenizer goes into the output folder. */
async function cutStudent(): Promise<BertModel> {
  const cut = await mkdtemp(join(tmpdir(), 'tunesmith-'))
  try {
    await cutWeights(source, cut, { layers: LAYERS, ids: kept })
    const config = JSON.parse(await readFile(join(source, 'config.json'), 'utf8')) as object
    await writeJson(join(cut, 'config.json'), {
      ...config,
      num_hidden_layers: LAYERS.length,
      vocab_size: PIECES,
    })
    await writeTokenizer(args.output)
    return await BertModel.fromPretrained(cut)
  } finally {
    await rm(cut, { recursive: true, force: true })
  }
}

/** Mean cosine between the model's and the teacher's embeddings of the compared texts. */
async function cosines(model: BertModel): Promise<Cosines> {
  const [ofMails, ofProse] = compared.map((texts) => encode(tokenizer, texts))
  return {
    mails: meanCosine(await embed(model, ofMails), targets[0]),
    prose: meanCosine(await embed(model, ofProse), targets[1]),
  }
}

/** Mean loss over the first and over the last tenth of the steps. */
function ends(losses: readonly number[]): { firstLoss: number; lastLoss: number } {
  const tenth = Math.max(1, Math.floor(losses.length / 10))
  const mean = (part: readonly number[]) => part.reduce((sum, x) => sum + x, 0) / part.length
  return { firstLoss: mean(losses.slice(0, tenth)), lastLoss: mean(losses.slice(-tenth)) }
}

async function writeTokenizer(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const small = cutTokenizer(json, kept)
  await writeJson(join(folder, 'tokenizer.json'), small)
  await writeFile(join(folder, 'vocab.txt'), `${piecesOf(small).join('\n')}\n`)
  await writeJson(join(folder, 'tokenizer_config.json'), {
    cls_token: '[CLS]',
    do_lower_case: true,
    mask_token: '[MASK]',
    model_max_length: 512,
    pad_token: '[PAD]',
    sep_token: '[SEP]',
    tokenizer_class: 'BertTokenizer',
    unk_token: '[UNK]',
  })
}

function countPieces(texts: readonly string[]): Int32Array {
  const counts = new Int32Array(vocabularySize)
  for (const ids of encode(teacherTokenizer, texts)) for (const id of ids) counts[id]++
  return counts
}

/** Token ids of each text, cut to the length that is trained on. */
function encode(tokenizer: PreTrainedTokenizerFast, texts: readonly string[]): number[][] {
  return tokenizer([...texts], { truncation: true, maxLength: MAX_LENGTH, padding: false })
    .inputIds as number[][]
}

function sample(texts: readonly string[], count: number, seed: number): string[] {
  return Array.from(sampleIndices(texts.length, { seed }).subarray(0, count), (i) => texts[i])
}

/** All mails and as many sentences, which are shorter, as there is need for. */
function mixed(all: readonly string[], sentences: readonly string[], seed: number): string[] {
  const texts = [...all, ...sample(sentences, Math.ceil(tokens / 30), seed)]
  return sample(texts, texts.length, seed)
}

/** The first of the texts that have no more than so many tokens together. */
function upTo(most: number, texts: readonly number[][]): number[][] {
  let sum = 0
  return texts.filter(({ length }) => {
    sum += length
    return sum <= most
  })
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`)
}
