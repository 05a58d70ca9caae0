/** Cases of single components and of training. */
import type { ModelFolder } from '../../hub/index.ts'
import { byteLevelAlphabet, Decoder, Normalizer, PreTokenizer } from '../../tokenization/components.ts'
import type { ComponentConfig } from '../../tokenization/parts/config.ts'
import { Tokenizer } from '../../tokenization/tokenizer.ts'
import type { TrainerOptions } from '../../tokenization/train.ts'
import { readJson, readText } from './folder.ts'
import { expectEqual, expectThrow, type Outcome, run } from './tokenizers-case.ts'

interface GoldenComponent<T> {
  name: string
  config: ComponentConfig
  outputs: T[]
}

interface GoldenComponents {
  texts: string[]
  token_lists: string[][]
  normalizers: GoldenComponent<string>[]
  /** Piece, place in code points, place in UTF-16 units. */
  pre_tokenizers: GoldenComponent<[string, number, number, number, number][]>[]
  decoders: GoldenComponent<string | { error: string }>[]
}

export async function* runComponents(
  folder: ModelFolder,
  wanted: (name: string) => boolean,
): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenComponents>(folder, 'components.json')
  if (!golden) return
  const { texts, token_lists } = golden
  for (const { name, config, outputs } of golden.normalizers) {
    yield* run(`components/normalizers/${name}`, wanted, async () => {
      const normalizer = await Normalizer.fromConfig(config)
      for (const [i, text] of texts.entries())
        expectEqual(`text ${i}`, normalizer.normalize(text), outputs[i])
    })
  }
  for (const { name, config, outputs } of golden.pre_tokenizers) {
    yield* run(`components/pre_tokenizers/${name}`, wanted, async () => {
      const preTokenizer = await PreTokenizer.fromConfig(config)
      texts.forEach((text, i) => {
        const got = preTokenizer.preTokenize(text).map((piece) => [piece.text, ...piece.offsets])
        const want = outputs[i].map(([piece, , , start, end]) => [piece, start, end])
        expectEqual(`text ${i}`, got, want)
      })
    })
  }
  for (const { name, config, outputs } of golden.decoders) {
    yield* run(`components/decoders/${name}`, wanted, async () => {
      const decoder = await Decoder.fromConfig(config)
      token_lists.forEach((tokens, i) => {
        const want = outputs[i]
        if (typeof want === 'string') expectEqual(`tokens ${i}`, decoder.decode(tokens), want)
        else expectThrow(() => decoder.decode(tokens), want.error)
      })
    })
  }
}

interface GoldenTraining {
  corpus: string
  cases: {
    name: string
    model: TrainerOptions['type']
    model_arguments: Record<string, unknown>
    arguments: Record<string, unknown>
    normalizer: ComponentConfig | null
    pre_tokenizer: ComponentConfig | null
    expected: GoldenVocabulary
  }[]
}

interface GoldenVocabulary {
  vocab?: string[]
  merges?: [string, string][]
  pieces?: [string, number][]
  unk_id?: number
  score_spread?: number
  repeatable: boolean
  not_in_every_run: string[]
}

/** What a tokenizer.json holds of a model without vocabulary. */
const emptyModels = {
  BPE: { vocab: {}, merges: [] },
  WordPiece: {
    vocab: {},
    unk_token: '[UNK]',
    continuing_subword_prefix: '##',
    max_input_chars_per_word: 100,
  },
  WordLevel: { vocab: {}, unk_token: '<unk>' },
  Unigram: { vocab: [], unk_id: null },
}

export async function* runTraining(
  folder: ModelFolder,
  wanted: (name: string) => boolean,
): AsyncIterable<Outcome> {
  const golden = await readJson<GoldenTraining>(folder, 'training/cases.json')
  if (!golden) return
  const texts = (await readText(folder, `training/${golden.corpus}`)).split('\n')
  for (const c of golden.cases) {
    yield* run(`training/${c.name}`, wanted, async () => {
      const { model, model_arguments, normalizer, pre_tokenizer } = c
      const untrained = { type: model, ...emptyModels[model], ...model_arguments }
      const parts = { normalizer, pre_tokenizer, post_processor: null, decoder: null, added_tokens: [] }
      const tokenizer = await Tokenizer.fromString(
        JSON.stringify({ version: '1.0', truncation: null, padding: null, ...parts, model: untrained }),
      )
      await tokenizer.trainFromIterator(texts, await trainerOf(model, c.arguments))
      const trained = JSON.parse(tokenizer.toString()).model as TrainedModel
      expectVocabulary(trained, tokenizer, c.expected)
    })
  }
}

interface TrainedModel {
  vocab: Record<string, number> | [string, number][]
  merges?: [string, string][]
  unk_id?: number
}

async function trainerOf(
  type: TrainerOptions['type'],
  args: Record<string, unknown>,
): Promise<TrainerOptions> {
  const options = Object.entries(args).map(([name, value]) => [
    name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
    value,
  ])
  const trainer = { type, ...Object.fromEntries(options) }
  if (trainer.initialAlphabet === 'byte_level') trainer.initialAlphabet = await byteLevelAlphabet()
  return trainer
}

/** Where the library itself is not repeatable, sets are compared, and scores with their spread. */
function expectVocabulary(trained: TrainedModel, tokenizer: Tokenizer, want: GoldenVocabulary): void {
  if (want.pieces) {
    const got = new Map(trained.vocab as [string, number][])
    const spread = (want.score_spread ?? 0) * 2 + 1e-6
    expectEqual('number of pieces', got.size, want.pieces.length)
    expectEqual('unk_id', trained.unk_id, want.unk_id)
    for (const [piece, score] of want.pieces) {
      if (want.not_in_every_run.includes(piece)) continue
      const own = got.get(piece)
      if (own === undefined) throw new Error(`piece ${JSON.stringify(piece)} is missing`)
      if (Math.abs(own - score) > spread)
        throw new Error(`score of ${JSON.stringify(piece)}: ${own}, not ${score}`)
    }
    return
  }
  const vocab = [...tokenizer.getVocab(false).keys()]
  if (want.repeatable) {
    expectEqual('vocabulary', vocab, want.vocab)
    if (want.merges) expectEqual('merges', trained.merges, want.merges)
    return
  }
  const got = new Set(vocab)
  expectEqual('size of the vocabulary', got.size, want.vocab?.length)
  const missing = want.vocab?.filter((token) => !want.not_in_every_run.includes(token) && !got.has(token))
  expectEqual('missing tokens', missing, [])
}
