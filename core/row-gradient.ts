/** Gradients of tables of which a batch touches few rows. */
import { requestRoot } from './graph.ts'
import { assignSlice } from './ops/effects.ts'
import { hostIds, scatterAddRows } from './ops/indexing.ts'
import { slice } from './ops/views.ts'
import { State } from './state.ts'
import { Tensor, tensor } from './tensor.ts'

/** From this many elements on, a gradient that is zeros but for a few rows is kept as these rows. */
const LARGE = 2 ** 16
/** It is if they are at most this part of the table. */
const FEW = 4

/** Rows that were added up at ids: what a look-up in a table sends back. */
export interface ScatteredRows {
  /** Row number of each, on the host; outside of the table for rows that count for nothing. */
  readonly ids: ArrayLike<number>
  /** [N, D] */
  readonly rows: Tensor
}

/** A gradient [V, D] as rows at ids, where that is how it is computed and pays; else null. */
export function scatteredRows(grad: Tensor): ScatteredRows | null {
  if (grad.ndim !== 2 || grad.numel < LARGE || grad.requiresGrad) return null
  const { node, storage } = grad.value
  if (storage || node?.op.name !== 'scatterAddRows') return null
  const [rows, ids] = node.inputs
  if (rows.shape[0] * FEW > grad.shape[0]) return null
  const known = hostIds(ids)
  return known && { ids: known, rows: new Tensor(rows) }
}

/** The gradient of a table [V, D] as rows [N, D] that are added up at ids, in one buffer that grows. */
export class RowGradient {
  readonly #shape: readonly number[]
  readonly #name: string
  #state: State | null = null
  #ids = new Int32Array(0)
  /** How many rows there are. */
  count = 0
  /** What all rows are still to be multiplied by: one element. */
  #factor: Tensor | null = null

  constructor(shape: readonly number[], name: string) {
    this.#shape = shape
    this.#name = name
  }

  /** Whether so many rows more would still be few. */
  hasRoomFor(rows: number): boolean {
    return (this.count + rows) * FEW <= this.#shape[0]
  }

  append({ ids, rows }: ScatteredRows): void {
    const count = this.count + ids.length
    if (this.#factor) {
      const scaled = this.#rows()
      this.#factor = null
      assignSlice(this.#state!, scaled, 0, 0)
    }
    this.#reserve(count)
    this.#ids.set(ids, this.count)
    assignSlice(this.#state!, rows, 0, this.count)
    this.count = count
  }

  #reserve(count: number): void {
    if (this.#state && count <= this.#ids.length) return
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(16, count)))
    const ids = new Int32Array(capacity)
    const state = new State([capacity, this.#shape[1]], 'float32', this.#name)
    ids.set(this.#ids.subarray(0, this.count))
    if (this.count > 0) assignSlice(state, this.#rows(), 0, 0)
    this.#ids = ids
    this.#state = state
  }

  clear(): void {
    this.count = 0
    this.#factor = null
  }

  #rows(): Tensor {
    const rows = slice(new Tensor(this.#state!.current), 0, 0, this.count)
    return this.#factor ? rows.mul(this.#factor) : rows
  }

  /** The whole gradient. */
  dense(): Tensor {
    return scatterAddRows(this.#rows(), tensor(this.#ids.slice(0, this.count)), this.#shape[0])
  }

  /** Multiplies it by a tensor of one element, when it is read. */
  scale(factor: Tensor): void {
    this.#factor = this.#factor ? this.#factor.mul(factor) : factor
    // what the factor was made of may be overwritten before the rows are read
    requestRoot(this.#factor.value)
  }

  /**
   * Rows that were added up already: `sums` [N, D] belong to `ids`, all different, and to none where an id is -1. There are
   * as many as rows, so that batches of one size are one plan.
   */
  sums(): { ids: Int32Array; sums: Tensor } {
    const places = new Map<number, number>()
    const ids = new Int32Array(this.count).fill(-1)
    const placeOf = this.#ids.slice(0, this.count).map((id) => {
      if (id < 0 || id >= this.#shape[0]) return -1
      let place = places.get(id)
      if (place === undefined) {
        place = places.size
        places.set(id, place)
        ids[place] = id
      }
      return place
    })
    return { ids, sums: scatterAddRows(this.#rows(), tensor(placeOf), this.count) }
  }
}
