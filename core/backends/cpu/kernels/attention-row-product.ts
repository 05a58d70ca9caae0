/**
 * to[r, :] = from[r, :] + sum over i of weights[r, i] rows[i, :], for rows of D floats that are read and written where they
 * are: columns lie across the lanes, so nothing is packed.
 */
import {
  Address,
  type F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  type ModuleBuilder,
  type Variable,
} from '../assembler.ts'

/** Rows of a tile. With 256-bit vectors its 4 x 16 sums are 8 registers, as many as hide the latency of a multiply-add. */
const TILE_ROWS = 4
const TILE_COLUMNS = { narrow: 8, wide: 16 } as const

/**
 * `product(weights, weightStride, rows, rowStride, inner, from, fromStride, to, toStride, count, depth)`, strides in bytes.
 * The weights of row r and number i are at r * weightStride + 4 i, or transposed at 4 r + i * weightStride; they must be
 * readable up to a whole tile of rows.
 */
export interface RowProduct {
  readonly plain: FunctionHandle
  readonly transposed: FunctionHandle
}

const parameters = {
  weights: Address,
  weightStride: Address,
  rows: Address,
  rowStride: Address,
  inner: I32,
  from: Address,
  fromStride: Address,
  to: Address,
  toStride: Address,
  count: I32,
  depth: I32,
}

/** How many columns at a time, and what loads and stores them. */
interface Columns {
  readonly count: number
  load(f: FunctionBuilder, address: Address): F32x4[]
  store(f: FunctionBuilder, address: Address, values: readonly F32x4[]): void
}

const vectors = (count: number): Columns => ({
  count,
  load: (f, address) => Array.from({ length: count / 4 }, (_, v) => f.let(address.loadF32x4(16 * v))),
  store: (f, address, values) => {
    values.forEach((value, v) => {
      f.storeVector(address, value, 16 * v)
    })
  },
})

const single: Columns = {
  count: 1,
  load: (f, address) => [f.let(address.loadSplatF32())],
  store: (f, address, [value]) => f.storeLane(address, value, 0),
}

function emitProduct(module: ModuleBuilder, widest: number, transposed: boolean): FunctionHandle {
  return module.function(null, parameters, (f, p) => {
    const { weights, weightStride, rowStride, inner, fromStride, toStride, count } = p
    const row = f.locals(Address, 1)[0]
    const weight: Variable<Address>[] = f.locals(Address, transposed ? 1 : TILE_ROWS)
    f.for(0, count, TILE_ROWS, (done) => {
      const left = f.let(count.sub(done))
      // rows that do not exist are computed, and stored before the last one, where they lie
      const rowsFrom = (start: Address, stride: Address) => {
        const pointers = [f.let(start)]
        for (let r = 1; r < TILE_ROWS; r++)
          pointers.push(f.let(left.gtS(r).select<Address>(pointers[r - 1].add(stride), pointers[r - 1])))
        return pointers
      }
      const from = rowsFrom(p.from, fromStride)
      const to = rowsFrom(p.to, toStride)
      const column = f.let(p.rows)
      const tile = (columns: Columns) => {
        const sums = from.map((address) => columns.load(f, address))
        row.set(column)
        weight.forEach((w, r) => {
          w.set(r === 0 ? weights : weight[r - 1].add(weightStride))
        })
        f.for(0, inner, 1, () => {
          const x = columns.load(f, row)
          sums.forEach((sum, r) => {
            const w = f.let(transposed ? weight[0].loadSplatF32(4 * r) : weight[r].loadSplatF32())
            sum.forEach((s, v) => {
              ;(s as Variable<F32x4>).set(f.madd(w, x[v], s))
            })
          })
          row.set(row.add(rowStride))
          for (const w of weight) w.set(w.add(transposed ? weightStride : 4))
        })
        for (let r = TILE_ROWS - 1; r >= 0; r--) columns.store(f, to[r], sums[r])
        for (const pointer of [...from, ...to, column]) pointer.set(pointer.add(4 * columns.count))
      }
      const d = f.let(I32.const(0))
      for (const columns of [vectors(widest), vectors(4), single])
        f.forFrom(d, p.depth.sub(columns.count - 1), columns.count, () => tile(columns))

      weights.set(transposed ? weights.add(4 * TILE_ROWS) : weights.at(I32.const(TILE_ROWS), weightStride))
      p.from.set(p.from.at(I32.const(TILE_ROWS), fromStride))
      p.to.set(p.to.at(I32.const(TILE_ROWS), toStride))
    })
  })
}

export function emitRowProduct(module: ModuleBuilder, wide: boolean): RowProduct {
  const widest = TILE_COLUMNS[wide ? 'wide' : 'narrow']
  return {
    plain: emitProduct(module, widest, false),
    transposed: emitProduct(module, widest, true),
  }
}
