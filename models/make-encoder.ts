/**
 * Makes `models/encoder` from all-MiniLM-L6-v2: layers 0, 2 and 4, a vocabulary of 16,000 pieces, then distilled on mails and
 * prose until it gives nearly the same states again.
 *
 *     node models/make-encoder.ts FOLDER_OF_ALL_MINILM [--output DIR] [--tokens N]
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
import { distill, embed, meanCosine } from './distill.ts'
import { encoderCard } from './encoder-card.ts'
import { chooseIds, cutTokenizer, cutWeights, type WordPieceJson } from './encoder-cut.ts'
import { mailTexts, proseTexts } from './encoder-texts.ts'
import { saveInHalf } from './save-half.ts'

const PIECES = 16_000
const LAYERS = [0, 2, 4]
const MAX_LENGTH = 128
const SEED = 7
/** Texts of each kind on which student and teacher are compared. */
const COMPARED = 100

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', default: new URL('./encoder', import.meta.url).pathname },
    tokens: { type: 'string', default: '280000' },
  },
})
const [source] = positionals
if (!source) throw new Error('usage: node models/make-encoder.ts FOLDER_OF_ALL_MINILM')

await setDefaultDevice('cpu')
manualSeed(SEED)
const [mails, prose] = [mailTexts(), proseTexts()]
const teacherTokenizer = await AutoTokenizer.fromPretrained(source)
const json = JSON.parse(await readFile(join(source, 'tokenizer.json'), 'utf8')) as WordPieceJson
const vocabularySize = Object.keys(json.model.vocab).length
const kept = chooseIds(json, countPieces([...mails.train, ...prose.train]), PIECES)

const cut = await mkdtemp(join(tmpdir(), 'tunesmith-'))
try {
  await cutWeights(source, cut, { layers: LAYERS, ids: kept })
  const config = JSON.parse(await readFile(join(source, 'config.json'), 'utf8')) as object
  await writeJson(join(cut, 'config.json'), {
    ...config,
    num_hidden_layers: LAYERS.length,
    vocab_size: PIECES,
  })
  const student = await BertModel.fromPretrained(cut)
  const teacher = await BertModel.fromPretrained(source)
  await writeTokenizer(args.output)
  const tokenizer = await AutoTokenizer.fromPretrained(args.output)

  const compared = [mails.heldOut, prose.heldOut].map((texts) => sample(texts, COMPARED))
  const targets: Float32Array[][] = []
  for (const texts of compared) targets.push(await embed(teacher, encode(teacherTokenizer, texts)))
  const measure = async (model: BertModel) => {
    const cosines: number[] = []
    for (const [i, texts] of compared.entries())
      cosines.push(meanCosine(await embed(model, encode(tokenizer, texts)), targets[i]))
    return { mails: cosines[0], prose: cosines[1] }
  }
  const before = await measure(student)
  console.error('cosine to the teacher before', before)

  const texts = upTo(
    Number(args.tokens),
    encode(tokenizer, mixed(mails.train, prose.train, Number(args.tokens))),
  )
  const training = await distill({
    teacher,
    student,
    texts,
    teacherIds: kept,
    tokensPerStep: 1024,
    lr: 5e-4,
    warmupRatio: 0.05,
    seed: SEED,
    onStep({ step, totalSteps, loss, tokensPerSecond }) {
      if (step % 10 === 0 || step === totalSteps)
        console.error(
          `step ${step}/${totalSteps}  loss ${loss.toFixed(4)}  ${tokensPerSecond.toFixed(0)} tokens/s`,
        )
    },
  })
  await saveInHalf(student, BertModel, args.output, 'float16')
  const saved = await BertModel.fromPretrained(args.output)
  const after = await measure(saved)
  console.error('cosine to the teacher after', after)
  await writeFile(
    join(args.output, 'README.md'),
    encoderCard({
      parameters: saved.numParameters(),
      pieces: PIECES,
      layers: LAYERS,
      before,
      after,
      training,
    }),
  )
} finally {
  await rm(cut, { recursive: true, force: true })
}
await shutdown()

async function writeTokenizer(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  const small = cutTokenizer(json, kept)
  await writeJson(join(folder, 'tokenizer.json'), small)
  await writeFile(join(folder, 'vocab.txt'), `${Object.keys(small.model.vocab).join('\n')}\n`)
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

function sample(texts: readonly string[], count: number): string[] {
  return Array.from(sampleIndices(texts.length, { seed: SEED }).subarray(0, count), (i) => texts[i])
}

/** All mails and as many sentences, which are shorter, as there is need for. */
function mixed(mails: readonly string[], sentences: readonly string[], tokens: number): string[] {
  const texts = [...mails, ...sample(sentences, Math.ceil(tokens / 30))]
  return sample(texts, texts.length)
}

/** The first of the texts that have no more than so many tokens together. */
function upTo(tokens: number, texts: readonly number[][]): number[][] {
  let sum = 0
  return texts.filter(({ length }) => {
    sum += length
    return sum <= tokens
  })
}

async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFile(path, `${JSON.stringify(value, null, 2)}\n`)
}
