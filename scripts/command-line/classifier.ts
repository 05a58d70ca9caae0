import { noGrad } from '../../core/index.ts'
import { makeBatches, pack } from '../../data/index.ts'
import { InputError } from '../../hub/errors.ts'
import type { PreTrainedTokenizer } from '../../tokenization/index.ts'
import { AutoConfig, AutoModelForSequenceClassification } from '../../transformers/auto.ts'
import type { PretrainedConfig } from '../../transformers/config.ts'

type Classifier = Awaited<ReturnType<typeof AutoModelForSequenceClassification.fromPretrained>>

export interface TextScores {
  text: string
  /** The best class. */
  label: string
  score: number
  /** Of every class: probabilities, of a regression the value itself. */
  scores: Record<string, number>
}

/** Tokens computed at once. */
const TOKENS = 4096

/** @throws InputError for a model without a trained head: it would label at random */
export async function loadClassifier(folder: string): Promise<Classifier> {
  const { architectures } = await AutoConfig.fromPretrained(folder)
  if (!architectures?.some((name) => name.endsWith('ForSequenceClassification')))
    throw new InputError(
      `[classify] ${folder} holds no text classifier (${architectures?.join(', ') ?? 'no architecture'}); fine-tune it first`,
    )
  return AutoModelForSequenceClassification.fromPretrained(folder)
}

/** Labels texts, packed side by side; long ones are cut to the model's context. */
export async function classifyTexts(
  model: Classifier,
  tokenizer: PreTrainedTokenizer,
  texts: readonly string[],
): Promise<TextScores[]> {
  const { max_position_embeddings: context = tokenizer.modelMaxLength } = model.config as PretrainedConfig & {
    max_position_embeddings?: number
  }
  const maxLength = Math.min(context, tokenizer.modelMaxLength)
  const ids = texts.map((text) => tokenizer.encode(text, { truncation: true, maxLength }))
  const lengths = ids.map(({ length }) => length)
  const results: TextScores[] = []
  for (const batch of makeBatches(lengths, { maxTokensPerBatch: Math.max(TOKENS, ...lengths) })) {
    const { inputIds, cuSeqlens } = pack(batch.map((i) => ids[i]))
    const { logits } = noGrad(() => model({ inputIds: [Array.from(inputIds)], cuSeqlens }))
    const values = await logits.data()
    const classes = logits.shape[1]
    for (const [row, i] of batch.entries()) {
      const scores = scoresOf(Array.from(values.slice(row * classes, (row + 1) * classes)), model.config)
      results.push({ text: texts[i], ...best(scores, model.config), scores: named(scores, model.config) })
    }
  }
  return results
}

function scoresOf(logits: number[], { problem_type, num_labels }: PretrainedConfig): number[] {
  if (problem_type === 'regression' || num_labels === 1) return logits
  if (problem_type === 'multi_label_classification') return logits.map((x) => 1 / (1 + Math.exp(-x)))
  const largest = Math.max(...logits)
  const exps = logits.map((x) => Math.exp(x - largest))
  const sum = exps.reduce((a, b) => a + b, 0)
  return exps.map((x) => x / sum)
}

function best(scores: readonly number[], { id2label }: PretrainedConfig): { label: string; score: number } {
  const id = scores.indexOf(Math.max(...scores))
  return { label: id2label[id], score: scores[id] }
}

const named = (scores: readonly number[], { id2label }: PretrainedConfig): Record<string, number> =>
  Object.fromEntries(scores.map((score, id) => [id2label[id], score]))
