/** Models of known shapes with random weights: a bench needs no download. */
import { manualSeed } from '../core/index.ts'
import { BertConfig, BertForSequenceClassification, BertModel } from '../transformers/models/bert.ts'

/** The shape of sentence-transformers/all-MiniLM-L6-v2. */
const MINILM = {
  vocab_size: 30522,
  hidden_size: 384,
  num_hidden_layers: 6,
  num_attention_heads: 12,
  intermediate_size: 1536,
  max_position_embeddings: 512,
}

export const VOCABULARY = MINILM.vocab_size

export function miniLmClassifier(): BertForSequenceClassification {
  manualSeed(0)
  return new BertForSequenceClassification(new BertConfig(MINILM))
}

export function miniLm(): BertModel {
  manualSeed(0)
  return new BertModel(new BertConfig(MINILM)).eval()
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
