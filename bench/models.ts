/** Models of known shapes: real ones where their folder is given, else the same shapes with random weights. */
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { manualSeed } from '../core/index.ts'
import { BertConfig, BertForSequenceClassification, BertModel } from '../transformers/models/bert.ts'
import { LlamaConfig, LlamaForCausalLM } from '../transformers/models/llama.ts'
import type { BenchOptions } from './bench.ts'

/** Where the models lie in the folder of `--models`, as on the Hub. */
export const MODELS = {
  miniLm: 'sentence-transformers/all-MiniLM-L6-v2',
  smolLm2: 'HuggingFaceTB/SmolLM2-135M-Instruct',
} as const

/** The shape of all-MiniLM-L6-v2. */
const MINILM = {
  vocab_size: 30522,
  hidden_size: 384,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  intermediate_size: 1536,
  max_position_embeddings: 512,
}

/** The shape of SmolLM2-135M. */
export const SMOLLM2 = {
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 2,
}

type Folders = Pick<BenchOptions, 'models'>

const folderOf = ({ models }: Folders, name: keyof typeof MODELS): string | null =>
  models ? join(models, MODELS[name]) : null

/** Texts of the bench are made of this vocabulary where no tokenizer comes with the model. */
const EMBEDDED = fileURLToPath(new URL('../models/encoder', import.meta.url))

/** The folder of MiniLM's tokenizer. */
export const tokenizerFolder = (options: Folders): string => folderOf(options, 'miniLm') ?? EMBEDDED

export async function miniLmClassifier(options: Folders): Promise<BertForSequenceClassification> {
  const folder = folderOf(options, 'miniLm')
  if (folder) return BertForSequenceClassification.fromPretrained(folder)
  manualSeed(0)
  return new BertForSequenceClassification(new BertConfig(MINILM))
}

export async function miniLm(options: Folders): Promise<BertModel> {
  const folder = folderOf(options, 'miniLm')
  if (folder) return BertModel.fromPretrained(folder)
  manualSeed(0)
  return new BertModel(new BertConfig(MINILM)).eval()
}

export async function smolLm2(options: Folders, dtype: 'float32' | 'bfloat16'): Promise<LlamaForCausalLM> {
  const folder = folderOf(options, 'smolLm2')
  if (folder) return LlamaForCausalLM.fromPretrained(folder, { dtype })
  manualSeed(0)
  const model = new LlamaForCausalLM(new LlamaConfig(SMOLLM2)).eval()
  return dtype === 'float32' ? model : model.to(dtype)
}

/** Writes models of these shapes with random weights, so that others can load what we load. */
export async function saveRandomModels(folder: string): Promise<void> {
  const encoder = join(folder, MODELS.miniLm)
  await (await miniLm({})).savePretrained(encoder)
  for (const file of ['tokenizer.json', 'tokenizer_config.json', 'vocab.txt'])
    await copyFile(join(EMBEDDED, file), join(encoder, file))
  await (await smolLm2({}, 'bfloat16')).savePretrained(join(folder, MODELS.smolLm2))
}

/** Small enough for a step to be over at once. */
export function smallClassifier(overrides: object = {}): BertForSequenceClassification {
  manualSeed(0)
  return new BertForSequenceClassification(
    new BertConfig({
      vocab_size: 1000,
      hidden_size: 128,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      intermediate_size: 512,
      max_position_embeddings: 512,
      ...overrides,
    }),
  )
}
