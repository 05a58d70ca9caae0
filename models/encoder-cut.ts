/** A smaller BERT from a larger one: some of its layers, and some of its pieces. */
import { bytesOf, openCheckpoint, saveCheckpoint, type TensorToWrite } from '../hub/index.ts'

const WORDS = 'embeddings.word_embeddings.weight'

/** WordPiece's vocabulary as `tokenizer.json` spells it, as far as it matters here. */
export interface WordPieceJson {
  truncation: unknown
  padding: unknown
  added_tokens: { id: number; content: string }[]
  post_processor: { special_tokens: Record<string, { ids: number[]; tokens: string[] }> }
  model: { vocab: Record<string, number> }
}

/**
 * The ids that stay, in rising order: special tokens, single letters (so that few words are unknown), what the texts use
 * most, and then the lowest ids, since BERT's vocabulary is ordered by frequency.
 * @param counts how often each id occurs in the texts
 */
export function chooseIds(json: WordPieceJson, counts: Int32Array, size: number): number[] {
  const special = new Set(json.added_tokens.map(({ id }) => id))
  const rank = ([piece, id]: [string, number]): number => {
    if (special.has(id)) return Number.POSITIVE_INFINITY
    if (piece.startsWith('[unused')) return -1
    if (isLatinLetter(piece)) return Number.MAX_VALUE
    // ids begin to count where the texts say nothing
    return counts[id] > 1 ? counts[id] : 1 - id / counts.length
  }
  return Object.entries(json.model.vocab)
    .map((entry) => ({ id: entry[1], rank: rank(entry) }))
    .sort((a, b) => b.rank - a.rank || a.id - b.id)
    .slice(0, size)
    .map(({ id }) => id)
    .sort((a, b) => a - b)
}

/** One character up to the end of Latin Extended-A, or general punctuation and currency signs; alone or inside a word. */
function isLatinLetter(piece: string): boolean {
  const letter = piece.startsWith('##') && piece.length > 2 ? piece.slice(2) : piece
  const code = letter.codePointAt(0) ?? 0
  return [...letter].length === 1 && (code < 0x180 || (code >= 0x2010 && code < 0x20c0))
}

/** The tokenizer with the ids that stay, numbered anew in their order. */
export function cutTokenizer(json: WordPieceJson, ids: readonly number[]): WordPieceJson {
  const numbers = new Map(ids.map((id, i) => [id, i]))
  const renumber = (id: number): number => {
    const number = numbers.get(id)
    if (number === undefined)
      throw new Error(`[cutTokenizer] special token ${id} is not among those that stay`)
    return number
  }
  const vocab = Object.entries(json.model.vocab)
    .filter(([, id]) => numbers.has(id))
    .map(([piece, id]): [string, number] => [piece, renumber(id)])
    .sort(([, a], [, b]) => a - b)
  const special = Object.entries(json.post_processor.special_tokens).map(([name, token]) => [
    name,
    { ...token, ids: token.ids.map(renumber) },
  ])
  return {
    ...json,
    truncation: null,
    padding: null,
    added_tokens: json.added_tokens.map((token) => ({ ...token, id: renumber(token.id) })),
    post_processor: { ...json.post_processor, special_tokens: Object.fromEntries(special) },
    model: { ...json.model, vocab: Object.fromEntries(vocab) },
  }
}

/** The pieces in the order of their ids, which is not that of an object's keys: pieces such as 7 come first there. */
export function piecesOf(json: WordPieceJson): string[] {
  return Object.entries(json.model.vocab)
    .sort(([, a], [, b]) => a - b)
    .map(([piece]) => piece)
}

/** Writes the weights of the layers and pieces that stay, in float32. */
export async function cutWeights(
  from: string,
  to: string,
  { layers, ids }: { layers: readonly number[]; ids: readonly number[] },
): Promise<void> {
  await using weights = await openCheckpoint(from)
  const tensors: TensorToWrite[] = []
  for (const [name, { shape }] of weights.tensors) {
    if (name === 'embeddings.position_ids') continue
    const layer = /^encoder\.layer\.(\d+)\.(.*)$/.exec(name)
    const place = layer ? layers.indexOf(Number(layer[1])) : 0
    if (place < 0) continue
    const values = await weights.readFloat32(name)
    const isWords = name === WORDS
    tensors.push({
      name: layer ? `encoder.layer.${place}.${layer[2]}` : name,
      dtype: 'F32',
      shape: isWords ? [ids.length, shape[1]] : shape,
      bytes: async () => bytesOf(isWords ? rows(values, ids, shape[1]) : values),
    })
  }
  await saveCheckpoint(to, tensors)
}

function rows(table: Float32Array, ids: readonly number[], width: number): Float32Array {
  const out = new Float32Array(ids.length * width)
  for (const [i, id] of ids.entries()) out.set(table.subarray(id * width, (id + 1) * width), i * width)
  return out
}
