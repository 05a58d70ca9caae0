/** Packing of one operand of a matrix product, or of a part of it, as a dispatch. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { Address, I32, ModuleBuilder } from '../assembler.ts'
import { type ArgWord, type CpuFeatures, type Dispatch, shifted } from '../dispatch.ts'
import { argumentBlock, bytesOf, ceilDiv, grainOf, operandAddress } from './arguments.ts'
import { batchFields, batchLayout, batchOffset } from './batches.ts'
import { emitPackPanel, emitPackRuns, PANEL_A, panelWidth } from './matmul-pack.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { kBlockOf } from './matmul-tile.ts'

/** Bytes of packed panels of one operand at a time: larger products are cut along N, M or the batch. */
export const LARGEST_PACKED = 16 << 20
/** Panels that are packed together: at most so many bytes of a row are read at once. */
const GROUP_BYTES = 256

const packBlock = argumentBlock({
  from: 'address',
  to: 'address',
  rows: 'i32',
  rowStride: 'address',
  kStride: 'address',
  k: 'i32',
  kBlock: 'i32',
  kBlocks: 'i32',
  panels: 'i32',
  groups: 'i32',
  group: 'i32',
  firstBatch: 'i32',
  ...batchFields,
})

/** Unit: a group of panels of one block of K of one batch. */
function emitPack(width: number, dtype: DType): ModuleBuilder {
  const bytes = dtypeInfo(dtype).deviceBytes
  const module = new ModuleBuilder()
  const packOne = emitPackPanel(module, width, dtype)
  const packRuns = emitPackRuns(module, width, dtype)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = packBlock.read(f, args)
    f.for(start, end, 1, (unit) => {
      const panel = f.let(unit.remU(p.groups).mul(p.group))
      const rest = f.let(unit.divU(p.groups))
      const k0 = f.let(rest.remU(p.kBlocks).mul(p.kBlock))
      const batch = f.let(rest.divU(p.kBlocks))
      const last = f.let(panel.add(p.group).minS(p.panels))
      const length = f.let(p.kBlock.minS(p.k.sub(k0)))
      const panelBytes = f.let(Address.of(length).mul(width * 4))
      const from = f.let(
        p.from
          .add(batchOffset(f, p, batch.add(p.firstBatch)))
          .at(k0, p.kStride)
          .at(panel.mul(width), p.rowStride),
      )
      const to = f.let(p.to.at(batch.mul(p.k).add(k0).mul(p.panels), width * 4).at(panel, panelBytes))
      f.if(p.rowStride.eq(bytes), () => {
        const whole = f.let(last.minS(p.rows.divU(width)).sub(panel))
        f.call(packRuns, to, panelBytes, from, p.kStride, whole, length)
        panel.set(panel.add(whole))
        from.set(from.at(whole, width * bytes))
        to.set(to.at(whole, panelBytes))
      })
      f.forFrom(panel, last, 1, () => {
        const rows = p.rows.sub(panel.mul(width)).minS(I32.const(width))
        f.call(packOne, to, from, p.rowStride, p.kStride, rows, length)
        from.set(from.add(p.rowStride.mul(width)))
        to.set(to.add(panelBytes))
      })
    })
  })
  return module
}

export interface PackRange {
  readonly operand: 'a' | 'b'
  /** Rows of a or columns of b, from the first one on. */
  readonly first: number
  readonly rows: number
  readonly firstBatch: number
  readonly batches: number
  /** [batch][block of K][panel][k][width]. */
  readonly to: ArgWord
}

export const packDispatch = (p: MatmulProblem, features: CpuFeatures, range: PackRange): Dispatch =>
  pack(p, range.operand === 'a' ? PANEL_A : panelWidth(features), kBlockOf(p.k), range)

/** All rows of a product without batches' a, in panels of `width`, K in one block. */
export const packRows = (p: MatmulProblem, width: number, to: ArgWord): Dispatch =>
  pack(p, width, p.k, { operand: 'a', first: 0, rows: p.m, firstBatch: 0, batches: 1, to })

function pack(p: MatmulProblem, width: number, kBlock: number, range: PackRange): Dispatch {
  const isA = range.operand === 'a'
  const o = isA ? p.a : p.b
  const bytes = bytesOf(o)
  const [rowStride, kStride] = isA ? o.strides.slice(-2) : o.strides.slice(-2).reverse()
  const panels = ceilDiv(range.rows, width)
  const kBlocks = ceilDiv(p.k, kBlock)
  const group = Math.max(1, Math.floor(GROUP_BYTES / (width * bytes)))
  const groups = ceilDiv(panels, group)
  const units = range.batches * kBlocks * groups
  const cost = (range.batches * panels * width * p.k * bytes) / 8
  return {
    codeKey: `matmul.pack${width}.${o.dtype}`,
    emit: () => emitPack(width, o.dtype),
    args: packBlock.words({
      from: shifted(operandAddress(o), range.first * rowStride * bytes),
      to: range.to,
      rows: range.rows,
      rowStride: rowStride * bytes,
      kStride: kStride * bytes,
      k: p.k,
      kBlock,
      kBlocks,
      panels,
      groups,
      group,
      firstBatch: range.firstBatch,
      ...batchLayout(o),
    }),
    units,
    grain: grainOf(units, cost / Math.max(1, units)),
    cost,
  }
}
