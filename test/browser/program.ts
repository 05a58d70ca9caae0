/** What the tests run twice, in Node and in a page, to compare the results. */
import {
  type DeviceChoice,
  type DeviceOptions,
  manualSeed,
  memory,
  noGrad,
  ones,
  setDefaultDevice,
  shutdown,
  tensor,
} from '../../core/index.ts'
import { openModelFolder, openSafetensors, openUrl } from '../../hub/index.ts'
import { Embedding } from '../../nn/index.ts'
import { AdamW, clipGradNorm_ } from '../../nn/optim/index.ts'
import {
  AutoModelForCausalLM,
  AutoModelForSequenceClassification,
  AutoTokenizer,
  TextStreamer,
  Trainer,
} from '../../transformers/index.ts'
import { OP_CASES } from '../core/op-cases.ts'
import { outcome } from '../core/op-outcome.ts'

export async function start(device: DeviceChoice, options: DeviceOptions = {}): Promise<string> {
  await shutdown()
  return (await setDefaultDevice(device, options)).description
}

/** Results and gradients of the op cases with these names, or of all. */
export async function opOutcomes(names?: string[]): Promise<Record<string, number[][]>> {
  const outcomes: Record<string, number[][]> = {}
  for (const c of OP_CASES) if (!names || names.includes(c.name)) outcomes[c.name] = await outcome(c)
  return outcomes
}

/** A product that is worth sharing, read with and without waiting. */
export async function bigProduct(): Promise<number[]> {
  const x = ones([256, 256])
  const sums = []
  for (let i = 0; i < 10; i++) sums.push(await x.matmul(x).sum().item())
  return [...sums, x.matmul(x).sum().itemSync()]
}

const TRAINING = [
  { text: 'Win a free prize now, click here!', label: 'spam' },
  { text: 'Are we still meeting for lunch on Thursday?', label: 'ham' },
  { text: 'Cheap pills, no prescription, order today', label: 'spam' },
  { text: 'Here are the minutes of the meeting.', label: 'ham' },
  { text: 'You have been selected to receive $1,000,000', label: 'spam' },
  { text: 'Could you review my patch when you have time?', label: 'ham' },
  { text: 'Lose weight fast with this one trick', label: 'spam' },
  { text: 'The train leaves at nine, see you at the station.', label: 'ham' },
]

/** Losses of a short fine-tuning with dropout, and what the model then says about two texts. */
export async function fineTune(encoder: string): Promise<{ losses: number[]; logits: number[] }> {
  manualSeed(7)
  const tokenizer = await AutoTokenizer.fromPretrained(encoder)
  const config = { id2label: { 0: 'ham', 1: 'spam' }, label2id: { ham: 0, spam: 1 } }
  const model = await AutoModelForSequenceClassification.fromPretrained(encoder, { config })
  const args = { epochs: 2, batchSize: 4, lr: 1e-3, seed: 7 }
  const trainer = new Trainer({ model, tokenizer, task: 'text-classification', args })
  const { losses } = await trainer.train(TRAINING)
  const { inputIds, attentionMask } = tokenizer(['Free money!', 'See you tomorrow.'], { padding: true })
  const { logits } = noGrad(() => model({ inputIds, attentionMask }))
  return { losses, logits: Array.from(await logits.data()) }
}

/** Text of the embedded generator, sampled, with the pieces that its streamer gave. */
export async function generate(folder: string): Promise<{ text: string; pieces: string[] }> {
  manualSeed(3)
  const tokenizer = await AutoTokenizer.fromPretrained(folder)
  const model = await AutoModelForCausalLM.fromPretrained(folder)
  const pieces: string[] = []
  const streamer = new TextStreamer(tokenizer, { skipPrompt: true, onText: (text) => pieces.push(text) })
  const { sequences } = await model.generate([tokenizer.encode('The sea')], {
    maxNewTokens: 24,
    doSample: true,
    temperature: 0.8,
    streamer,
  })
  return { text: tokenizer.decode(sequences[0], { skipSpecialTokens: true }), pieces }
}

/** Sum of one tensor of a checkpoint, read from a path or, by range, from a URL. */
export async function tensorSum(file: string, name: string): Promise<number> {
  await using weights = await openSafetensors(/^http/.test(file) ? await openUrl(file) : file)
  const values = await weights.readFloat32(name)
  return await tensor(values, [values.length]).sum().item()
}

/** What a missing model is answered with. */
export async function missingModel(folder: string): Promise<string> {
  return AutoTokenizer.fromPretrained(folder).then(
    () => 'loaded',
    (error: Error) => error.message,
  )
}

/** Bytes that 200 steps take of the system after the first 20, with nothing disposed of. */
export async function memoryGrowth(): Promise<number> {
  const x = ones([64, 64])
  let bytes = 0
  for (let i = 0; i < 220; i++) {
    await x.matmul(x).add(i).mean().item()
    if (i === 20) bytes = memory.stats().reserved
  }
  return memory.stats().reserved - bytes
}

/** Generates with a model of the Hub; `offline` takes it from the cache alone. */
export async function generateFromHub(id: string, endpoint: string, offline = false): Promise<string> {
  const options = { endpoint, localFilesOnly: offline }
  const tokenizer = await AutoTokenizer.fromPretrained(id, options)
  const model = await AutoModelForCausalLM.fromPretrained(id, options)
  const { sequences } = await model.generate([tokenizer.encode('The sea')], {
    maxNewTokens: 8,
    doSample: false,
  })
  return tokenizer.decode(sequences[0])
}

/** Paths of the files of a Hub model that were cached, with their bytes. */
export async function cachedSizes(id: string, endpoint: string): Promise<Record<string, number>> {
  const folder = await openModelFolder(id, { endpoint, localFilesOnly: true })
  const sizes: Record<string, number> = {}
  for (const name of await folder.list('')) sizes[name] = (await folder.open(name))!.size
  return sizes
}

/** A word embedding after a few steps of AdamW that touch few of its rows. */
export async function trainTable(): Promise<number[]> {
  manualSeed(1)
  const table = new Embedding(1024, 64)
  const optimizer = new AdamW([table.weight], { lr: 1e-2, weightDecay: 0.1 })
  for (const ids of [[1, 2, 2], [3], [1, 1023], [2, 5]]) {
    optimizer.zeroGrad()
    table(tensor(Int32Array.from(ids)))
      .pow(2)
      .mean()
      .backward()
    clipGradNorm_(table.parameters(), 0.1)
    await optimizer.step()
  }
  return Array.from(await table.weight.data())
}
