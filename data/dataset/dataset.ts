import { randomKey, shuffle } from '../random.ts'
import { checkCount, type MapOptions, mapped, namesOf, toColumns, toRows } from './batches.ts'
import { type Features, inferFeatures, type Row } from './features.ts'

export interface SplitOptions {
  /** Share of the rows, if under 1, or number of them, that go into `test`. Default 0.25. */
  testSize?: number
  /** Default true. */
  shuffle?: boolean
  /** Default 0. */
  seed?: number
}

/**
 * Rows in memory, in the manner of Hugging Face's datasets: methods return new data sets that share the rows, so that
 * choosing, sorting out and shuffling copy nothing but the order. Rows are not to be changed; `map` makes new ones.
 *
 * ```ts
 * const { train } = await loadDataset('mails')
 * const short = train.filter(({ text }) => text.length < 1000).shuffle(42)
 * const { train: learn, test } = short.trainTestSplit({ testSize: 0.1 })
 * for (const { text, label } of learn) console.log(label, text)
 * ```
 */
export class Dataset<R extends Row = Row> implements Iterable<R> {
  readonly #rows: readonly R[]
  #features: Features | undefined

  /** @param features what the columns hold; without it, what the rows show */
  constructor(rows: readonly R[], features?: Features) {
    this.#rows = rows
    this.#features = features
  }

  /** From columns of one length. @throws RangeError if their lengths differ */
  static fromColumns(columns: Readonly<Record<string, ArrayLike<unknown>>>): Dataset {
    return new Dataset(toRows(columns))
  }

  /** Number of rows. */
  get length(): number {
    return this.#rows.length
  }

  get features(): Features {
    this.#features ??= inferFeatures(this.#rows)
    return this.#features
  }

  get columnNames(): string[] {
    return Object.keys(this.features)
  }

  [Symbol.iterator](): Iterator<R> {
    return this.#rows[Symbol.iterator]()
  }

  /** Row `i`; negative numbers count from the end. @throws RangeError if there is no such row */
  at(i: number): R {
    const row = this.#rows.at(i)
    if (row === undefined) throw new RangeError(`[Dataset] there is no row ${i} among ${this.length}`)
    return row
  }

  /** All values of a column. @throws RangeError with the names there are, if there is no such column */
  column<K extends keyof R & string>(name: K): R[K][] {
    this.#check([name])
    return this.#rows.map((row) => row[name])
  }

  /** The rows with these numbers, in their order. @throws RangeError if there is no such row */
  select(indices: Iterable<number>): Dataset<R> {
    return new Dataset(
      Array.from(indices, (i) => this.at(i)),
      this.features,
    )
  }

  /** The first `n` rows. */
  take(n: number): Dataset<R> {
    return new Dataset(this.#rows.slice(0, n), this.features)
  }

  /** All but the first `n` rows. */
  skip(n: number): Dataset<R> {
    return new Dataset(this.#rows.slice(n), this.features)
  }

  filter(keep: (row: R, i: number) => boolean): Dataset<R> {
    return new Dataset(
      this.#rows.filter((row, i) => isSettled(keep(row, i), 'filter')),
      this.features,
    )
  }

  /** The same order for the same seed, everywhere. */
  shuffle(seed = 0): Dataset<R> {
    return new Dataset(shuffle([...this.#rows], randomKey(seed)), this.features)
  }

  /**
   * Rows with what `change` gives for each beside, or in place of, what they have.
   *
   * ```ts
   * train.map(({ text }) => ({ inputIds: tokenizer.encode(text) }), { removeColumns: 'text' })
   * ```
   */
  map<T extends Row>(change: (row: R, i: number) => T, options: MapOptions = {}): Dataset<R & T> {
    const removed = this.#removed(options)
    return new Dataset(
      this.#rows.map((row, i) => mapped(row, isSettled(change(row, i), 'map'), removed) as R & T),
    )
  }

  /** `map` with `batchSize` rows a call, as columns; the columns returned may have another length, if all old ones go. */
  mapBatches(
    change: (columns: { [K in keyof R]: R[K][] }) => Readonly<Record<string, ArrayLike<unknown>>>,
    options: MapOptions & { batchSize?: number } = {},
  ): Dataset {
    const { batchSize = 1000 } = options
    const removed = this.#removed(options)
    const rows: Row[] = []
    for (const batch of this.batch(batchSize)) {
      const kept = Object.fromEntries(Object.entries(batch).filter(([name]) => !removed.has(name)))
      const changed = isSettled(change(batch as never), 'mapBatches')
      for (const row of toRows({ ...(kept as Record<string, unknown[]>), ...changed })) rows.push(row)
    }
    return new Dataset(rows)
  }

  /** Batches of `batchSize` rows, as rows whose columns are arrays. */
  batch(batchSize: number, { dropLast = false } = {}): Dataset<{ [K in keyof R]: R[K][] }> {
    checkCount('batchSize', batchSize)
    const batches: Row[] = []
    for (let i = 0; i < this.length; i += batchSize) {
      const rows = this.#rows.slice(i, i + batchSize)
      if (!dropLast || rows.length === batchSize) batches.push(toColumns(rows))
    }
    return new Dataset(batches as { [K in keyof R]: R[K][] }[])
  }

  /** Only these columns. */
  selectColumns(names: string | readonly string[]): Dataset {
    const wanted = [...namesOf(names)]
    this.#check(wanted)
    return this.#withColumns(wanted.map((name) => [name, name]))
  }

  removeColumns(names: string | readonly string[]): Dataset {
    const removed = namesOf(names)
    this.#check(removed)
    return this.#withColumns(
      this.columnNames.filter((name) => !removed.has(name)).map((name) => [name, name]),
    )
  }

  renameColumn(from: string, to: string): Dataset {
    this.#check([from])
    return this.#withColumns(this.columnNames.map((name) => [name, name === from ? to : name]))
  }

  /** Cuts off a part to measure on. @throws RangeError if either part would be empty */
  trainTestSplit(options: SplitOptions = {}): { train: Dataset<R>; test: Dataset<R> } {
    const { testSize = 0.25, seed = 0 } = options
    const count = testSize < 1 ? Math.ceil(testSize * this.length) : testSize
    if (!Number.isInteger(count) || count < 1 || count >= this.length)
      throw new RangeError(`[Dataset] testSize ${testSize} of ${this.length} rows leaves a part empty`)
    const rows = (options.shuffle ?? true) ? this.shuffle(seed) : this
    const border = this.length - count
    return { train: rows.take(border), test: rows.skip(border) }
  }

  #removed(options: MapOptions): ReadonlySet<string> {
    const removed = namesOf(options.removeColumns)
    this.#check(removed)
    return removed
  }

  #check(names: Iterable<string>): void {
    for (const name of names)
      if (!Object.hasOwn(this.features, name))
        throw new RangeError(
          `[Dataset] there is no column "${name}"; there are: ${this.columnNames.join(', ')}`,
        )
  }

  #withColumns(names: [from: string, to: string][]): Dataset {
    const pick = (record: Row) => Object.fromEntries(names.map(([from, to]) => [to, record[from] ?? null]))
    return new Dataset(this.#rows.map(pick), pick({ ...this.features }) as Features)
  }
}

/** A promise would be taken for a row, or for true. */
function isSettled<T>(value: T, method: string): T {
  if (value instanceof Promise)
    throw new TypeError(
      `[Dataset] ${method} takes a synchronous function; wait for the values first, or stream`,
    )
  return value
}
