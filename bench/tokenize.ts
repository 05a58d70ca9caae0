/** Tokenization, ids only, on one thread. */
import { fileURLToPath } from 'node:url'
import { AutoTokenizer } from '../transformers/tokenizer/auto.ts'
import { type BenchOptions, type BenchResult, integers, round, time } from './bench.ts'

const TOKENIZERS = { WordPiece: 'models/encoder', 'byte-level BPE': 'models/generator' }
const LINES = 2000

const WORDS =
  'the of and to in is was that for on with as by at it from his an were are which this also be has had first one their its new after but who not they have her she two been other when there all time may into year more years can city will world most during some between about where over up university only made through under season would part against later known used three at the became include many then number'.split(
    ' ',
  )

function lines(): string[] {
  const next = integers(5)
  return Array.from({ length: LINES }, () =>
    Array.from({ length: 8 + next(24) }, () => WORDS[next(WORDS.length)]).join(' '),
  )
}

export async function run({ seconds }: BenchOptions): Promise<BenchResult> {
  const texts = lines()
  const bytes = texts.reduce((sum, text) => sum + new TextEncoder().encode(text).length, 0)
  const detail: Record<string, number> = { lines: LINES, bytes }
  for (const [name, folder] of Object.entries(TOKENIZERS)) {
    const tokenizer = await AutoTokenizer.fromPretrained(
      fileURLToPath(new URL(`../${folder}`, import.meta.url)),
    )
    const { median } = await time(async () => tokenizer(texts, { returnAttentionMask: false }), seconds / 2)
    detail[`${name}, MB/s`] = round(bytes / median / 1e6)
  }
  return { value: detail['WordPiece, MB/s'], unit: 'MB/s', detail }
}
