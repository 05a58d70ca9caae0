import { randomKey, randomUniform, shuffle } from '../random.ts'
import { checkCount, type MapOptions, mapped, namesOf, toColumns } from './batches.ts'
import { Dataset } from './dataset.ts'
import type { Features, Row } from './features.ts'

/** Rows held by a streamed shuffle unless told otherwise, as in Hugging Face's datasets. */
const SHUFFLE_BUFFER = 1000

/**
 * Rows that are read while one goes through them, each time anew, so that a data set may be larger than memory. Methods
 * return new streams and read nothing.
 *
 * ```ts
 * const rows = await loadDataset('stanfordnlp/imdb', { split: 'train', streaming: true })
 * for await (const { text } of rows.shuffle(42, { bufferSize: 5000 }).take(100)) console.log(text)
 * ```
 */
export class IterableDataset<R extends Row = Row> implements AsyncIterable<R> {
  readonly #open: () => AsyncIterable<R>
  /** What the columns hold, where the files say it (Parquet). */
  readonly features: Features | undefined

  /** @param open begins to read from the start */
  constructor(open: () => AsyncIterable<R>, features?: Features) {
    this.#open = open
    this.features = features
  }

  [Symbol.asyncIterator](): AsyncIterator<R> {
    return this.#open()[Symbol.asyncIterator]()
  }

  map<T extends Row>(
    change: (row: R, i: number) => T | Promise<T>,
    options: MapOptions = {},
  ): IterableDataset<R & T> {
    const removed = namesOf(options.removeColumns)
    const open = this.#open
    return new IterableDataset(async function* () {
      let i = 0
      for await (const row of open()) yield mapped(row, await change(row, i++), removed) as R & T
    })
  }

  filter(keep: (row: R, i: number) => boolean | Promise<boolean>): IterableDataset<R> {
    return this.#then(async function* (rows) {
      let i = 0
      for await (const row of rows) if (await keep(row, i++)) yield row
    })
  }

  /**
   * Shuffles within a buffer: each row given is a random one of the `bufferSize` rows read so far, and the next takes its
   * place. The larger the buffer, the better it mixes; only the whole data set is a fair shuffle.
   */
  shuffle(seed = 0, { bufferSize = SHUFFLE_BUFFER } = {}): IterableDataset<R> {
    checkCount('bufferSize', bufferSize)
    return this.#then(async function* (rows) {
      const key = randomKey(seed)
      const buffer: R[] = []
      let drawn = 0
      for await (const row of rows) {
        if (buffer.length < bufferSize) {
          buffer.push(row)
          continue
        }
        const place = Math.floor(randomUniform(key, drawn++) * bufferSize)
        yield buffer[place]
        buffer[place] = row
      }
      yield* shuffle(buffer, randomKey(seed, 1))
    })
  }

  take(n: number): IterableDataset<R> {
    return this.#then(async function* (rows) {
      if (n <= 0) return
      let left = n
      for await (const row of rows) {
        yield row
        if (--left === 0) return
      }
    })
  }

  skip(n: number): IterableDataset<R> {
    return this.#then(async function* (rows) {
      let left = n
      for await (const row of rows) if (left-- <= 0) yield row
    })
  }

  /** Batches of `batchSize` rows, as rows whose columns are arrays. */
  batch(batchSize: number, { dropLast = false } = {}): IterableDataset<{ [K in keyof R]: R[K][] }> {
    checkCount('batchSize', batchSize)
    const open = this.#open
    return new IterableDataset(async function* () {
      let rows: R[] = []
      for await (const row of open()) {
        rows.push(row)
        if (rows.length < batchSize) continue
        yield toColumns(rows) as { [K in keyof R]: R[K][] }
        rows = []
      }
      if (rows.length > 0 && !dropLast) yield toColumns(rows) as { [K in keyof R]: R[K][] }
    })
  }

  /** Reads everything into memory. */
  async toDataset(): Promise<Dataset<R>> {
    const rows: R[] = []
    for await (const row of this) rows.push(row)
    return new Dataset(rows, this.features)
  }

  #then(change: (rows: AsyncIterable<R>) => AsyncIterable<R>): IterableDataset<R> {
    const open = this.#open
    return new IterableDataset(() => change(open()), this.features)
  }
}
