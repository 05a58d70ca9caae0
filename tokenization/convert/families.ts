/** What the tokenizers of old checkpoints are made of, by their family: as the classes of transformers 5 make them. */
import type { SpecialTokenName } from '../special-tokens.ts'

export interface Family {
  kind: 'wordpiece' | 'byte-level' | 'sentencepiece'
  /** The tokens with a role, where tokenizer_config.json does not name them. */
  special: Partial<Record<SpecialTokenName, string>>
  /** What is put around texts: like BERT, like RoBERTa (in its own way), an end token, or nothing. */
  frame: 'bert' | 'roberta' | 'eos' | 'mbart' | null
}

const bert: Family = {
  kind: 'wordpiece',
  special: {
    unkToken: '[UNK]',
    sepToken: '[SEP]',
    padToken: '[PAD]',
    clsToken: '[CLS]',
    maskToken: '[MASK]',
  },
  frame: 'bert',
}

const robertaTokens = {
  bosToken: '<s>',
  eosToken: '</s>',
  sepToken: '</s>',
  clsToken: '<s>',
  unkToken: '<unk>',
  padToken: '<pad>',
  maskToken: '<mask>',
}

const roberta: Family = { kind: 'byte-level', special: robertaTokens, frame: 'roberta' }

const gpt2Tokens = { unkToken: '<|endoftext|>', bosToken: '<|endoftext|>', eosToken: '<|endoftext|>' }
const gpt2: Family = { kind: 'byte-level', special: gpt2Tokens, frame: null }

const bertTokens = { ...bert.special, bosToken: '[CLS]', eosToken: '[SEP]' }

const families: Record<string, Family> = {
  bert,
  distilbert: bert,
  electra: bert,
  mobilebert: bert,
  convbert: bert,
  layoutlm: bert,
  lxmert: bert,
  dpr: bert,
  squeezebert: bert,
  mpnet: { kind: 'wordpiece', special: { ...robertaTokens, unkToken: '[UNK]' }, frame: 'roberta' },
  gpt2,
  gptneo: gpt2,
  gptj: gpt2,
  codegen: gpt2,
  opt: gpt2,
  roberta,
  bart: roberta,
  longformer: roberta,
  led: roberta,
  mvp: roberta,
  layoutlmv3: roberta,
  qwen2: {
    kind: 'byte-level',
    special: { unkToken: '<|endoftext|>', eosToken: '<|endoftext|>', padToken: '<|endoftext|>' },
    frame: null,
  },
  llama: {
    kind: 'sentencepiece',
    special: { unkToken: '<unk>', bosToken: '<s>', eosToken: '</s>' },
    frame: null,
  },
  gemma: {
    kind: 'sentencepiece',
    special: {
      unkToken: '<unk>',
      bosToken: '<bos>',
      eosToken: '<eos>',
      padToken: '<pad>',
      maskToken: '<mask>',
    },
    frame: null,
  },
  t5: {
    kind: 'sentencepiece',
    special: { eosToken: '</s>', unkToken: '<unk>', padToken: '<pad>' },
    frame: 'eos',
  },
  albert: {
    kind: 'sentencepiece',
    special: { ...bertTokens, unkToken: '<unk>', padToken: '<pad>' },
    frame: 'bert',
  },
  debertav2: { kind: 'sentencepiece', special: bertTokens, frame: 'bert' },
  xlmroberta: { kind: 'sentencepiece', special: robertaTokens, frame: 'mbart' },
  camembert: { kind: 'sentencepiece', special: robertaTokens, frame: 'mbart' },
}

/** Model types whose tokenizers are those of another family. */
const aliases: Record<string, string> = {
  mistral: 'llama',
  mixtral: 'llama',
  mt5: 't5',
  umt5: 't5',
  gemma2: 'gemma',
}

/** The name of a family in `name`, a tokenizer class or a model type. */
export function familyName(name: string | undefined): string | undefined {
  const plain = name
    ?.replace(/[-_]/g, '')
    .replace(/(Tokenizer|Backend)?(Fast)?$/i, '')
    .toLowerCase()
  return plain === undefined || plain === '' ? undefined : (aliases[plain] ?? plain)
}

export function familyOf(name: string | undefined): Family | undefined {
  return name !== undefined && Object.hasOwn(families, name) ? families[name] : undefined
}
