import { type DType, dtypeInfo } from '../../../dtype.ts'
import {
  Address,
  F32x4,
  type FunctionBuilder,
  I32,
  I32x4,
  ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import { loadFour, loadOne, sumLanes } from './elements.ts'
import {
  type FewRowsCode,
  type FewRowsParameters,
  fewRowsAddresses,
  fewRowsBlock,
  INNER_COLUMNS,
} from './matmul-rows-arguments.ts'

/**
 * Elements of k in a step. A vector of eight bfloat16 is widened to its even and its odd elements by one instruction
 * each, so x is laid out that way too.
 */
const widthOf = (dtype: DType): number => (dtype === 'bfloat16' ? 8 : 4)

/**
 * Steps of k at once: enough independent sums to hide the multiply-add's latency. (Reading several rows of w side by side
 * would do that too, but one sequential stream is what the processor's prefetcher follows: 23 GB/s against 9.)
 */
const unrollOf = ({ rows, dtype }: FewRowsCode): number => {
  const sumsOfStep = rows * (widthOf(dtype) / 4)
  return sumsOfStep <= 2 ? 4 / sumsOfStep : sumsOfStep <= 5 ? 2 : 1
}

/**
 * Copies x to thread-local scratch: for every step of k the vectors of all rows beside each other, so that one pointer
 * walks through; the elements after the last whole step follow as [k][rows].
 */
function copyX(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  x: Address,
  to: Address,
  wholeK: I32,
): void {
  const width = widthOf(code.dtype)
  for (let r = 0; r < code.rows; r++) {
    const from = f.let(x.add(p.xRowStride.mul(r)))
    const i = f.let(I32.const(0))
    f.forFrom(i, wholeK, 1, () => {
      const step = i
        .and(-width)
        .mul(code.rows)
        .add(r * width)
      const lane = width === 8 ? i.and(1).shl(2).add(i.and(6).shrU(1)) : i.and(3)
      f.storeF32(to.at(step.add(lane), 4), from.loadF32())
      from.set(from.add(p.xStride))
    })
    f.forFrom(i, p.k, 1, () => {
      f.storeF32(to.at(i.mul(code.rows).add(r), 4), from.loadF32())
      from.set(from.add(p.xStride))
    })
  }
}

/** One step of k: adds the products of `width` elements of w and of every row of x to its sums. */
function addStep(
  f: FunctionBuilder,
  code: FewRowsCode,
  w: Address,
  x: Address,
  step: number,
  sums: Variable<F32x4>[],
  upper: I32x4,
): void {
  const { rows, dtype } = code
  const width = widthOf(dtype)
  const wBytes = step * width * dtypeInfo(dtype).deviceBytes
  const xBytes = step * width * rows * 4
  const add = (sum: Variable<F32x4>, a: F32x4, b: F32x4) => sum.set(f.madd(a, b, sum))
  if (width === 8) {
    const pairs = f.let(w.loadI32x4(wBytes))
    const even = f.let(pairs.shl(16).bitsToF32x4())
    const odd = f.let(pairs.and(upper).bitsToF32x4())
    for (let r = 0; r < rows; r++) {
      add(sums[2 * r], even, x.loadF32x4(xBytes + r * 32))
      add(sums[2 * r + 1], odd, x.loadF32x4(xBytes + r * 32 + 16))
    }
  } else {
    const four = f.let(loadFour(f, dtype, w, wBytes))
    for (let r = 0; r < rows; r++) add(sums[r], four, x.loadF32x4(xBytes + r * 16))
  }
}

/** Element `column` of every row of the result. */
function innerProducts(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  at: { w: Address; y: Address; x: Address; column: I32; wholeK: I32 },
): void {
  const { rows, dtype } = code
  const bytes = dtypeInfo(dtype).deviceBytes
  const width = widthOf(dtype)
  const unroll = unrollOf(code)
  // the upper halves of words; a variable, since V8 builds a constant anew wherever it is written
  const upper = f.let(I32x4.const(-65536))
  const sums = Array.from({ length: unroll }, () =>
    Array.from({ length: rows * (width / 4) }, () => f.let(F32x4.const(0))),
  )
  const w = f.let(at.w.at(at.column, p.wColumnStride))
  const x = f.let(at.x)
  const advance = (elements: number) => {
    w.set(w.add(elements * bytes))
    x.set(x.add(elements * rows * 4))
  }
  const i = f.let(I32.const(0))
  f.forFrom(i, at.wholeK.sub(width * unroll - 1), width * unroll, () => {
    for (let step = 0; step < unroll; step++) addStep(f, code, w, x, step, sums[step], upper)
    advance(width * unroll)
  })
  if (unroll > 1)
    f.forFrom(i, at.wholeK, width, () => {
      addStep(f, code, w, x, 0, sums[0], upper)
      advance(width)
    })
  const totals = Array.from({ length: rows }, (_, r) => {
    const parts = sums.flatMap((of) => (width === 8 ? [of[2 * r], of[2 * r + 1]] : [of[r]]))
    return f.let(sumLanes(f, sumPairwise(parts)))
  })
  f.forFrom(i, p.k, 1, () => {
    const one = f.let(loadOne(f, dtype, w))
    totals.forEach((total, r) => {
      total.set(total.add(one.mul(x.loadF32(r * 4))))
    })
    advance(1)
  })
  totals.forEach((total, r) => {
    const bias = p.bias.add(p.biasRowStride.mul(r)).at(at.column, p.biasColumnStride).loadF32()
    const y = at.y.add(p.yRowStride.mul(r)).at(at.column, p.yColumnStride)
    f.storeF32(y, code.bias ? total.add(bias) : total)
  })
}

const sumPairwise = (parts: readonly F32x4[]): F32x4 => {
  if (parts.length === 1) return parts[0]
  const half = parts.length / 2
  return sumPairwise(parts.slice(0, half)).add(sumPairwise(parts.slice(half)))
}

/** b contiguous along K. Unit: 16 columns of the result of one batch. */
export function emitInnerProducts(code: FewRowsCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = fewRowsBlock.read(f, args)
      const wholeK = f.let(p.k.and(-widthOf(code.dtype)))
      const copied = f.let(I32.const(-1))
      f.for(start, end, 1, (unit) => {
        const batch = f.let(unit.divU(p.blocks))
        const { x, w, y } = fewRowsAddresses(f, p, batch)
        f.if(batch.ne(copied), () => {
          copyX(f, code, p, x, local, wholeK)
          copied.set(batch)
        })
        const column = f.let(unit.remU(p.blocks).mul(INNER_COLUMNS))
        const last = f.let(column.add(INNER_COLUMNS).minS(p.columns))
        f.forFrom(column, last, 1, () => innerProducts(f, code, p, { w, y, x: local, column, wholeK }))
      })
    },
  )
  return module
}
