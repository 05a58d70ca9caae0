import { type DType, dtypeInfo } from '../../../dtype.ts'
import { F32x4, type FunctionBuilder, I32, I32x4, ModuleBuilder } from '../assembler.ts'
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

/** Rows of w that are read side by side: as many sums as the registers take, enough to hide the multiply-add's latency. */
const columnsAtOnce = ({ rows, dtype }: FewRowsCode): number =>
  dtype === 'bfloat16'
    ? rows === 1
      ? 4
      : rows <= 4
        ? 2
        : 1
    : Math.max(1, Math.min(4, Math.floor(12 / rows)))

/**
 * Copies x to thread-local scratch: for every step of k the vectors of all rows beside each other, so that one pointer
 * walks through; the elements after the last whole step follow as [k][rows].
 */
function copyX(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  x: I32,
  to: I32,
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
      f.storeF32(to.add(step.add(lane).shl(2)), from.loadF32())
      from.set(from.add(p.xStride))
    })
    f.forFrom(i, p.k, 1, () => {
      f.storeF32(to.add(i.mul(code.rows).add(r).shl(2)), from.loadF32())
      from.set(from.add(p.xStride))
    })
  }
}

/** Elements `column` to `column + count` of the result. */
function innerProducts(
  f: FunctionBuilder,
  code: FewRowsCode,
  p: FewRowsParameters,
  count: number,
  at: { w: I32; y: I32; x: I32; column: I32; wholeK: I32 },
): void {
  const { rows, dtype } = code
  const bytes = dtypeInfo(dtype).deviceBytes
  const width = widthOf(dtype)
  const sums = Array.from({ length: count * rows * (width / 4) }, () => f.let(F32x4.const(0)))
  const weights: ReturnType<typeof f.let<I32>>[] = []
  for (let c = 0; c < count; c++)
    weights.push(
      f.let((weights.at(-1) ?? at.w.add(p.wColumnStride.mul(at.column))).add(c && p.wColumnStride)),
    )
  const x = f.let(at.x)
  const add = (sum: (typeof sums)[number], a: F32x4, b: F32x4) => sum.set(f.madd(a, b, sum))
  const i = f.let(I32.const(0))
  f.forFrom(i, at.wholeK, width, () => {
    if (width === 8) {
      const xOf = (r: number, half: number) => x.loadF32x4((2 * r + half) * 16)
      const only = rows === 1 ? [f.let(xOf(0, 0)), f.let(xOf(0, 1))] : null
      for (let c = 0; c < count; c++) {
        const pairs = f.let(weights[c].loadI32x4())
        const even = f.let(pairs.shl(16).bitsToF32x4())
        const odd = f.let(pairs.and(I32x4.const(-65536)).bitsToF32x4())
        for (let r = 0; r < rows; r++) {
          add(sums[(c * rows + r) * 2], even, only ? only[0] : xOf(r, 0))
          add(sums[(c * rows + r) * 2 + 1], odd, only ? only[1] : xOf(r, 1))
        }
      }
    } else {
      const four = weights.map((w) => f.let(loadFour(f, dtype, w)))
      for (let r = 0; r < rows; r++) {
        const xs = f.let(x.loadF32x4(r * 16))
        for (let c = 0; c < count; c++) add(sums[c * rows + r], xs, four[c])
      }
    }
    x.set(x.add(width * rows * 4))
    for (const w of weights) w.set(w.add(width * bytes))
  })
  const totals = Array.from({ length: count * rows }, (_, j) =>
    f.let(sumLanes(f, width === 8 ? sums[2 * j].add(sums[2 * j + 1]) : sums[j])),
  )
  f.forFrom(i, p.k, 1, () => {
    for (let c = 0; c < count; c++) {
      const w = f.let(loadOne(f, dtype, weights[c]))
      for (let r = 0; r < rows; r++) {
        const total = totals[c * rows + r]
        total.set(total.add(w.mul(x.loadF32(r * 4))))
      }
      weights[c].set(weights[c].add(bytes))
    }
    x.set(x.add(rows * 4))
  })
  for (let c = 0; c < count; c++)
    for (let r = 0; r < rows; r++) {
      const column = at.column.add(c)
      const bias = p.bias.add(p.biasRowStride.mul(r)).add(p.biasColumnStride.mul(column)).loadF32()
      const total = totals[c * rows + r]
      const y = at.y.add(p.yRowStride.mul(r)).add(p.yColumnStride.mul(column))
      f.storeF32(y, code.bias ? total.add(bias) : total)
    }
}

/** b contiguous along K. Unit: 16 columns of the result of one batch. */
export function emitInnerProducts(code: FewRowsCode): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(code)
  module.function(
    'run',
    { args: I32, start: I32, end: I32, local: I32 },
    (f, { args, start, end, local }) => {
      const p = fewRowsBlock.read(f, args)
      const wholeK = f.let(p.k.and(-widthOf(code.dtype)))
      const copied = f.let(I32.const(-1))
      const atOnce = columnsAtOnce(code)
      f.for(start, end, 1, (unit) => {
        const batch = f.let(unit.divU(p.blocks))
        const { x, w, y } = fewRowsAddresses(f, p, batch)
        f.if(batch.ne(copied), () => {
          copyX(f, code, p, x, local, wholeK)
          copied.set(batch)
        })
        const column = f.let(unit.remU(p.blocks).mul(INNER_COLUMNS))
        const last = f.let(column.add(INNER_COLUMNS).minS(p.columns))
        const at = { w, y, x: local, column, wholeK }
        f.forFrom(column, last.sub(atOnce - 1), atOnce, () => innerProducts(f, code, p, atOnce, at))
        if (atOnce > 1) f.forFrom(column, last, 1, () => innerProducts(f, code, p, 1, at))
      })
    },
  )
  return module.bytes()
}
