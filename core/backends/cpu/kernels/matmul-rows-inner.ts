import { type DType, dtypeInfo } from '../../../dtype.ts'
import {
  Address,
  type F32,
  F32x4,
  type FunctionBuilder,
  I32,
  I32x4,
  ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import { loadFour, loadOne, sumLanes, sumLanesOfFour } from './elements.ts'
import {
  type FewRowsCode,
  type FewRowsParameters,
  fewRowsAddresses,
  fewRowsBlock,
  INNER_COLUMNS,
} from './matmul-rows-arguments.ts'

/**
 * Elements of k in a step: two vectors of sums. A vector of eight bfloat16 is widened to its even and its odd elements by
 * one instruction each, so there a step is two such vectors, and x is laid out that way too.
 */
const stepOf = (dtype: DType): number => (dtype === 'bfloat16' ? 16 : 8)

/** Rows of x that go through w together; more take several passes over a block of columns, which stays in the cache. */
const largestPass = ({ wideSimd }: FewRowsCode): number => (wideSimd ? 4 : 2)

function passesOf(code: FewRowsCode): number[] {
  const passes = Math.ceil(code.rows / largestPass(code))
  return Array.from({ length: passes }, (_, i) => Math.floor((code.rows + i) / passes))
}

/**
 * Columns of w that are read side by side, a large part of w apart: a processor waits for several streams at once, where one
 * alone is bound by the latency of memory (49152 x 576 on two cores of an Intel Xeon: 50 GB/s against 22). As many as leave
 * registers for their sums.
 */
export function streamsOf(code: FewRowsCode): number {
  const rows = Math.max(...passesOf(code))
  const pairs = (rows * stepOf(code.dtype)) / 8
  return 2 ** Math.max(0, Math.floor(Math.log2(Math.min(4, (code.wideSimd ? 8 : 4) / pairs))))
}

/** Bytes of thread-local scratch: x for every pass, and the sums of a step. */
export const innerScratch = (code: FewRowsCode, k: number): number =>
  code.rows * k * 4 + 16 + streamsOf(code) * Math.max(...passesOf(code)) * stepOf(code.dtype) * 4

/** Where element i of a step of x is: pairs of vectors that are multiplied with pairs of vectors of w. */
function laneOf(dtype: DType, i: I32): I32 {
  if (dtype !== 'bfloat16') return i.and(7)
  // [even or odd][first or second eight][pair]
  return i.and(1).shl(3).add(i.and(8).shrU(1)).add(i.and(6).shrU(1))
}

/** The vectors of a step of x as `laneOf` places their elements. */
function inOrderOf(dtype: DType, vectors: readonly F32x4[]): readonly F32x4[] {
  if (dtype !== 'bfloat16') return vectors
  const [a, b, c, d] = vectors
  const even = [a.shuffle(b, [0, 2, 4, 6]), c.shuffle(d, [0, 2, 4, 6])]
  return [...even, a.shuffle(b, [1, 3, 5, 7]), c.shuffle(d, [1, 3, 5, 7])]
}

/**
 * Copies the rows of a pass of x: for every step of k the elements of all rows beside each other, so that one pointer walks
 * through; the elements after the last whole step follow as [k][rows].
 */
function copyX(
  f: FunctionBuilder,
  dtype: DType,
  p: FewRowsParameters,
  at: { x: Address; first: number; rows: number; to: Address; wholeK: I32 },
): void {
  const { rows, to } = at
  const step = stepOf(dtype)
  for (let r = 0; r < rows; r++) {
    const from = f.let(at.x.add(p.xRowStride.mul(at.first + r)))
    const i = f.let(I32.const(0))
    f.if(p.xStride.eq(4), () =>
      f.forFrom(i, at.wholeK, step, () => {
        const vectors = Array.from({ length: step / 4 }, (_, v) => f.let(from.loadF32x4(16 * v)))
        const group = f.let(to.at(i.mul(rows).add(r * step), 4))
        for (const [v, vector] of inOrderOf(dtype, vectors).entries()) f.storeVector(group, vector, 16 * v)
        from.set(from.add(4 * step))
      }),
    )
    f.forFrom(i, at.wholeK, 1, () => {
      const group = i
        .and(-step)
        .mul(rows)
        .add(r * step)
      f.storeF32(to.at(group.add(laneOf(dtype, i)), 4), from.loadF32())
      from.set(from.add(p.xStride))
    })
    f.forFrom(i, p.k, 1, () => {
      f.storeF32(to.at(i.mul(rows).add(r), 4), from.loadF32())
      from.set(from.add(p.xStride))
    })
  }
}

/** The vectors of a step of w, in the order of x's. */
function loadStep(f: FunctionBuilder, dtype: DType, w: Address, upper: I32x4): F32x4[] {
  if (dtype === 'bfloat16') {
    const eights = [0, 16].map((bytes) => f.let(w.loadI32x4(bytes)))
    return [...eights.map((x) => x.shl(16)), ...eights.map((x) => x.and(upper))].map((x) =>
      f.let(x.bitsToF32x4()),
    )
  }
  const bytes = 4 * dtypeInfo(dtype).deviceBytes
  return [0, bytes].map((of) => f.let(loadFour(f, dtype, w, of)))
}

interface Pass {
  readonly first: number
  readonly rows: number
  readonly x: Address
  readonly sums: Address
  readonly wholeK: I32
}

/** Elements `columns` (one a stream) of the rows of a pass of the result. */
function innerProducts(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  pass: Pass,
  at: { w: Address; y: Address; columns: readonly I32[] },
): void {
  const { dtype } = code
  const { rows } = pass
  const streams = at.columns.length
  const bytes = dtypeInfo(dtype).deviceBytes
  const step = stepOf(dtype)
  const vectors = step / 4
  // the upper halves of words; a variable, since V8 builds a constant anew wherever it is written
  const upper = f.let(I32x4.const(-65536))
  const w = at.columns.map((column) => f.let(at.w.at(column, p.wColumnStride)))
  const x = f.let(pass.x)
  // [stream][row][vector]
  const sums = w.map(() =>
    Array.from({ length: rows }, () => Array.from({ length: vectors }, () => f.let(F32x4.const(0)))),
  )
  const i = f.let(I32.const(0))
  f.forFrom(i, pass.wholeK, step, () => {
    const ofW = w.map((pointer) => loadStep(f, dtype, pointer, upper))
    for (let r = 0; r < rows; r++) {
      const ofX = Array.from({ length: vectors }, (_, v) => f.let(x.loadF32x4((r * vectors + v) * 16)))
      for (const [s, four] of ofW.entries())
        for (const [v, sum] of sums[s][r].entries()) sum.set(f.madd(four[v], ofX[v], sum))
    }
    for (const pointer of w) pointer.set(pointer.add(step * bytes))
    x.set(x.add(step * rows * 4))
  })
  // through memory: adjacent stores let V8 join the pairs of sums
  const flat = sums.flat(2)
  for (const [n, sum] of flat.entries()) f.storeVector(pass.sums, sum, n * 16)
  const all = sumsOfLanes(
    f,
    Array.from({ length: streams * rows }, (_, n) =>
      sumPairwise(Array.from({ length: vectors }, (_, v) => pass.sums.loadF32x4((n * vectors + v) * 16))),
    ),
  )
  const totals = w.map((_, s) => all.slice(s * rows, (s + 1) * rows))
  f.forFrom(i, p.k, 1, () => {
    for (const [s, pointer] of w.entries()) {
      const one = f.let(loadOne(f, dtype, pointer))
      for (const [r, total] of totals[s].entries()) total.set(total.add(one.mul(x.loadF32(r * 4))))
      pointer.set(pointer.add(bytes))
    }
    x.set(x.add(rows * 4))
  })
  for (const [s, column] of at.columns.entries())
    for (const [r, total] of totals[s].entries()) {
      const row = pass.first + r
      const bias = p.bias.add(p.biasRowStride.mul(row)).at(column, p.biasColumnStride).loadF32()
      const y = at.y.add(p.yRowStride.mul(row)).at(column, p.yColumnStride)
      f.storeF32(y, code.bias ? total.add(bias) : total)
    }
}

/** The sum of the lanes of every vector, four vectors at a time where there are as many. */
function sumsOfLanes(f: FunctionBuilder, vectors: readonly F32x4[]): Variable<F32>[] {
  if (vectors.length % 4 !== 0) return vectors.map((v) => f.let(sumLanes(f, v)))
  const fours = Array.from({ length: vectors.length / 4 }, (_, i) => {
    const [a, b, c, d] = vectors.slice(4 * i, 4 * i + 4)
    return f.let(sumLanesOfFour(f, [a, b, c, d]))
  })
  return vectors.map((_, i) => f.let(fours[i >> 2].lane(i & 3)))
}

const sumPairwise = (parts: readonly F32x4[]): F32x4 => {
  if (parts.length === 1) return parts[0]
  const half = parts.length / 2
  return sumPairwise(parts.slice(0, half)).add(sumPairwise(parts.slice(half)))
}

/** b contiguous along K. Unit: `INNER_COLUMNS` columns of every stream, of one batch. */
export function emitInnerProducts(code: FewRowsCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const streams = streamsOf(code)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = fewRowsBlock.read(f, args)
      const wholeK = f.let(p.k.and(-stepOf(code.dtype)))
      const sums = f.let(local.at(p.k.mul(code.rows).add(3).and(-4), 4))
      const ofStream = f.let(p.columns.add(streams - 1).divU(streams))
      const lastColumn = f.let(p.columns.sub(1))
      const copied = f.let(I32.const(-1))
      let first = 0
      const passes = passesOf(code).map((rows): Pass => {
        const pass = { first, rows, x: f.let(local.at(p.k, first * 4)), sums, wholeK }
        first += rows
        return pass
      })
      f.for(start, end, 1, (unit) => {
        const batch = f.let(unit.divU(p.blocks))
        const { x, w, y } = fewRowsAddresses(f, p, batch)
        f.if(batch.ne(copied), () => {
          for (const pass of passes) copyX(f, code.dtype, p, { ...pass, x, to: pass.x })
          copied.set(batch)
        })
        const firstColumn = f.let(unit.remU(p.blocks).mul(INNER_COLUMNS))
        const last = f.let(firstColumn.add(INNER_COLUMNS).minS(ofStream))
        for (const pass of passes)
          f.for(firstColumn, last, 1, (column) => {
            // streams at and beyond the end compute the last column once more
            const columns = Array.from({ length: streams }, (_, s) =>
              f.let(column.add(ofStream.mul(s)).minS(lastColumn)),
            )
            innerProducts(f, code, p, pass, { w, y, columns })
          })
      })
    },
  )
  return module
}
