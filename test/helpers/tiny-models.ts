/** Tiny models with random weights and a tokenizer of a few words, made on the spot. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { manualSeed } from '../../core/index.ts'
import { BertConfig, BertForSequenceClassification, BertModel } from '../../transformers/models/bert.ts'
import { GPT2Config, GPT2LMHeadModel } from '../../transformers/models/gpt2.ts'
import { PreTrainedTokenizerFast } from '../../transformers/tokenizer/pretrained.ts'

const GOOD = ['good', 'fine', 'great', 'warm']
const BAD = ['bad', 'poor', 'dull', 'cold']
const NEUTRAL = ['a', 'the', 'film', 'story', 'actor', 'and', 'very', 'is', 'with', 'in']
const SPECIAL = ['[PAD]', '[UNK]', '[CLS]', '[SEP]']

const special = (content: string, id: number) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
})

const wrap = (name: string, id: number) => [name, { id: name, ids: [id], tokens: [name] }]

/** Contents of a `tokenizer.json`: whole words, with [CLS] and [SEP] around a text. */
export function wordTokenizer(): string {
  const words = [...SPECIAL, ...NEUTRAL, ...GOOD, ...BAD]
  const piece = (id: string) => ({ SpecialToken: { id, type_id: 0 } })
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL.map(special),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [piece('[CLS]'), { Sequence: { id: 'A', type_id: 0 } }, piece('[SEP]')],
      pair: [
        piece('[CLS]'),
        { Sequence: { id: 'A', type_id: 0 } },
        piece('[SEP]'),
        { Sequence: { id: 'B', type_id: 1 } },
        piece('[SEP]'),
      ],
      special_tokens: Object.fromEntries([wrap('[CLS]', 2), wrap('[SEP]', 3)]),
    },
    decoder: null,
    model: {
      type: 'WordLevel',
      vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      unk_token: '[UNK]',
    },
  })
}

const TOKENIZER_CONFIG = JSON.stringify({
  tokenizer_class: 'PreTrainedTokenizerFast',
  unk_token: '[UNK]',
  pad_token: '[PAD]',
  cls_token: '[CLS]',
  sep_token: '[SEP]',
  model_max_length: 32,
})

export const tinyTokenizer = (): Promise<PreTrainedTokenizerFast> =>
  PreTrainedTokenizerFast.fromFiles({ tokenizerJson: wordTokenizer(), tokenizerConfig: TOKENIZER_CONFIG })

export const tinyBertConfig = (overrides: object = {}): BertConfig =>
  new BertConfig({
    vocab_size: 22,
    hidden_size: 16,
    num_hidden_layers: 2,
    num_attention_heads: 2,
    intermediate_size: 32,
    max_position_embeddings: 32,
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    ...overrides,
  })

/** A classifier; the same seed gives the same weights. */
export function tinyClassifier(seed = 1, overrides: object = {}): BertForSequenceClassification {
  manualSeed(seed)
  return new BertForSequenceClassification(tinyBertConfig({ initializer_range: 0.2, ...overrides }))
}

/** The folder of an encoder without a head, as `finetune` takes it. */
export async function writeTinyEncoder(folder: string): Promise<string> {
  manualSeed(3)
  await mkdir(folder, { recursive: true })
  await new BertModel(tinyBertConfig({ initializer_range: 0.2 })).savePretrained(folder)
  await writeFile(join(folder, 'tokenizer.json'), wordTokenizer())
  await writeFile(join(folder, 'tokenizer_config.json'), TOKENIZER_CONFIG)
  return folder
}

/** The folder of a GPT-2 with a context of 32 tokens. */
export async function writeTinyGenerator(folder: string): Promise<string> {
  manualSeed(4)
  await mkdir(folder, { recursive: true })
  const config = new GPT2Config({
    vocab_size: 22,
    n_positions: 32,
    n_embd: 16,
    n_layer: 2,
    n_head: 2,
    bos_token_id: 2,
    eos_token_id: 3,
    initializer_range: 0.2,
  })
  await new GPT2LMHeadModel(config).savePretrained(folder)
  await writeFile(join(folder, 'tokenizer.json'), wordTokenizer())
  await writeFile(join(folder, 'tokenizer_config.json'), TOKENIZER_CONFIG)
  return folder
}

/** Sentences of 1 to 9 words with one that decides: a class that a tiny model can learn. */
export function sentences(count: number, seed = 0): { text: string; label: string }[] {
  let state = seed * 7919 + 17
  const next = (n: number) => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return (state >> 8) % n
  }
  return Array.from({ length: count }, (_, i) => {
    const isGood = i % 2 === 0
    const words = Array.from({ length: next(9) }, () => NEUTRAL[next(NEUTRAL.length)])
    words.splice(next(words.length + 1), 0, isGood ? GOOD[next(4)] : BAD[next(4)])
    return { text: words.join(' '), label: isGood ? 'positive' : 'negative' }
  })
}

export const LABELS = { id2label: { 0: 'negative', 1: 'positive' } }
