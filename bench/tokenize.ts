/** Tokenization on one thread: WordPiece and byte-level BPE, texts one by one and in batches, ids alone and with offsets. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Tokenizer, TokenizerPool } from '../tokenization/index.ts'
import { type BenchOptions, type BenchResult, round, type Sample, time } from './bench.ts'
import { MODELS } from './models.ts'
import { benchTexts } from './texts.ts'

export const TOKENIZERS = ['WordPiece', 'byte-level BPE'] as const
export const MODES = ['batch, ids', 'single, ids', 'batch, full', 'single, full'] as const

export interface TokenizeCase {
  tokenizer: (typeof TOKENIZERS)[number]
  mode: (typeof MODES)[number]
}

/** Sentences of a measurement. */
const COUNT = 2000

const real = { WordPiece: MODELS.miniLm, 'byte-level BPE': MODELS.smolLm2 }
const embedded = { WordPiece: 'encoder', 'byte-level BPE': 'generator' }

/** The tokenizer.json of a case: of the real models where their folder is given, else of the embedded ones. */
export function tokenizerFile(name: TokenizeCase['tokenizer'], models?: string): string {
  const own = fileURLToPath(new URL(`../models/${embedded[name]}/tokenizer.json`, import.meta.url))
  if (!models) return own
  const path = join(models, real[name], 'tokenizer.json')
  return existsSync(path) ? path : own
}

/** Megabytes a second of a case. */
export async function prepare(options: BenchOptions): Promise<(what: unknown) => Promise<Sample>> {
  const texts = (await benchTexts(options, 'train')).slice(0, COUNT).map(({ text }) => text)
  const bytes = new TextEncoder().encode(texts.join('')).length
  const tokenizers = new Map<string, Tokenizer>()
  for (const name of TOKENIZERS) {
    const json = await readFile(tokenizerFile(name, options.models), 'utf8')
    const tokenizer = await Tokenizer.fromString(json)
    tokenizer.noPadding()
    tokenizer.noTruncation()
    tokenizers.set(name, tokenizer)
  }
  return async (what) => {
    const { tokenizer: name, mode } = what as TokenizeCase
    const tokenizer = tokenizers.get(name)!
    const idsOnly = mode.endsWith('ids')
    let count = 0
    const run = async () => {
      if (mode.startsWith('batch'))
        for (const { ids } of tokenizer.encodeBatch(texts, { idsOnly })) count += ids.length
      else for (const text of texts) count += tokenizer.encode(text, { idsOnly }).ids.length
    }
    const { median } = await time(run, options.seconds)
    return { value: bytes / median / 1e6, tokens: count }
  }
}

/** How many times as fast two workers are as the one thread, on long texts. */
async function twoWorkers(options: BenchOptions): Promise<Record<string, number>> {
  const sentences = (await benchTexts(options, 'train')).map(({ text }) => text)
  const texts = Array.from({ length: 16 }, () => sentences.join(' '))
  const gains: Record<string, number> = {}
  for (const idsOnly of [true, false]) {
    const tokenizer = await Tokenizer.fromString(
      await readFile(tokenizerFile('byte-level BPE', options.models), 'utf8'),
    )
    tokenizer.noPadding()
    tokenizer.noTruncation()
    await using pool = new TokenizerPool(tokenizer, { workers: 2 })
    const some = idsOnly ? texts : texts.slice(0, 4)
    const one = await time(async () => tokenizer.encodeBatch(some, { idsOnly }), options.seconds)
    const two = await time(() => pool.encodeBatch(some, { idsOnly }), options.seconds)
    gains[`two workers, ${idsOnly ? 'ids' : 'full'}: times as fast`] = round(one.median / two.median, 3)
  }
  return gains
}

export async function run(options: BenchOptions): Promise<BenchResult> {
  const measure = await prepare({ ...options, seconds: options.seconds / 8 })
  const detail: Record<string, number> = {}
  for (const tokenizer of TOKENIZERS)
    for (const mode of MODES) {
      detail[`${tokenizer}, ${mode}, MB/s`] = round((await measure({ tokenizer, mode })).value, 3)
    }
  Object.assign(detail, await twoWorkers({ ...options, seconds: options.seconds / 8 }))
  return { value: detail['WordPiece, batch, ids, MB/s'], unit: 'MB/s', detail }
}
