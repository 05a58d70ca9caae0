/** Labelled sentences: those of SST-2 where its folder is given, else random words in sentences of like lengths. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type BenchOptions, integers, sentences } from './bench.ts'

export interface BenchText {
  text: string
  label: number
}

/** As many as SST-2 has. */
const COUNTS = { train: 6920, dev: 872 }

/** The sentences in the order of the file, which is random. */
export async function benchTexts(
  { data }: Pick<BenchOptions, 'data'>,
  part: keyof typeof COUNTS,
): Promise<BenchText[]> {
  if (!data) return randomTexts(COUNTS[part], part === 'train' ? 11 : 12)
  const lines = (await readFile(join(data, `${part}.tsv`), 'utf8')).trimEnd().split('\n')
  return lines.map((line) => {
    const [text, label] = line.split('\t')
    return { text, label: Number(label) }
  })
}

async function randomTexts(count: number, seed: number): Promise<BenchText[]> {
  const vocabulary = await readFile(new URL('../models/encoder/vocab.txt', import.meta.url), 'utf8')
  const words = vocabulary.split('\n').filter((word) => /^[a-z]{2,}$/.test(word))
  const next = integers(seed)
  return sentences(count, words.length, seed).map((ids) => ({
    // the tokenizer adds two tokens of its own
    text: Array.from(ids.subarray(2), (id) => words[id]).join(' '),
    label: next(2),
  }))
}
