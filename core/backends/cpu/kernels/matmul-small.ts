/** Many small products, as in decomposed attention: each is packed and computed by one thread in its own cache. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { Address, type FunctionHandle, I32, ModuleBuilder } from '../assembler.ts'
import type { CpuFeatures, Dispatch, LowerContext } from '../dispatch.ts'
import { argumentBlock, ceilDiv, operandAddress } from './arguments.ts'
import { batchLayout, batchOffset } from './batches.ts'
import { emitPackPanel, PANEL_A, panelWidth } from './matmul-pack.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { emitTile, kBlockOf, TILE_SCRATCH, TILE_ZEROS } from './matmul-tile.ts'

const smallBlock = argumentBlock({
  a: 'address',
  b: 'address',
  c: 'address',
  bias: 'address',
  m: 'i32',
  n: 'i32',
  k: 'i32',
  kBlock: 'i32',
  rowStrideA: 'address',
  kStrideA: 'address',
  columnStrideB: 'address',
  kStrideB: 'address',
  size1: 'i32',
  size2: 'i32',
  stride0A: 'address',
  stride1A: 'address',
  stride2A: 'address',
  stride0B: 'address',
  stride1B: 'address',
  stride2B: 'address',
})

/** Unit: one whole product of the batch, packed in thread-local scratch. */
function emitSmall(dtypeB: DType, features: CpuFeatures): ModuleBuilder {
  const module = new ModuleBuilder(features)
  const columns = panelWidth(features)
  const packA = emitPackPanel(module, PANEL_A, 'float32')
  const packB = emitPackPanel(module, columns, dtypeB)
  const tile = emitTile(module, columns)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = smallBlock.read(f, args)
      f.memoryFill(local, 0, TILE_ZEROS)
      const panelsA = f.let(p.m.add(PANEL_A - 1).divU(PANEL_A))
      const panelsB = f.let(p.n.add(columns - 1).divU(columns))
      const packedA = f.let(local.add(TILE_SCRATCH))
      const packedB = f.let(packedA.at(panelsA.mul(p.k), PANEL_A * 4))
      f.for(start, end, 1, (batch) => {
        const { size1, size2 } = p
        const at = (stride0: Address, stride1: Address, stride2: Address) =>
          batchOffset(f, { size1, size2, stride0, stride1, stride2 }, batch)
        const a = f.let(p.a.add(at(p.stride0A, p.stride1A, p.stride2A)))
        const b = f.let(p.b.add(at(p.stride0B, p.stride1B, p.stride2B)))
        const packAll = (
          pack: FunctionHandle,
          width: number,
          to: Address,
          from: Address,
          rowStride: Address,
          kStride: Address,
          rows: I32,
        ) =>
          f.for(0, rows, width, (row) => {
            const count = f.let(rows.sub(row).minS(I32.const(width)))
            f.call(pack, to.at(row.mul(p.k), 4), from.at(row, rowStride), rowStride, kStride, count, p.k)
          })
        packAll(packA, PANEL_A, packedA, a, p.rowStrideA, p.kStrideA, p.m)
        packAll(packB, columns, packedB, b, p.columnStrideB, p.kStrideB, p.n)
        const c = p.c.at(batch.mul(p.m).mul(p.n), 4)
        const zero = I32.const(0)
        f.call(
          tile,
          packedA,
          packedB,
          panelsA,
          panelsB,
          zero,
          zero,
          p.m,
          p.n,
          p.k,
          p.kBlock,
          c,
          Address.of(p.n).shl(2),
          p.bias,
          local,
        )
      })
    },
  )
  return module
}

const smallScratch = (p: MatmulProblem): number =>
  (ceilDiv(p.m, PANEL_A) * PANEL_A + ceilDiv(p.n, 16) * 16) * p.k * 4

/** Whether a product is one of many small ones: packed, it fits the second-level cache beside its result. */
export const isSmallBatched = (p: MatmulProblem): boolean =>
  p.batches >= 8 && p.k <= 384 && smallScratch(p) <= 256 << 10

export function lowerSmallBatched(p: MatmulProblem, ctx: LowerContext): Dispatch[] {
  const { features } = ctx
  const [a, b] = [batchLayout(p.a), batchLayout(p.b)]
  const bytesB = dtypeInfo(p.b.dtype).deviceBytes
  const [rowStrideA, kStrideA] = p.a.strides.slice(-2)
  const [kStrideB, columnStrideB] = p.b.strides.slice(-2)
  const unitCost = (2 * p.m * p.n * p.k) / 40 + smallScratch(p) / 8
  return [
    {
      codeKey: `matmul.small${panelWidth(features)}.${p.b.dtype}.${features.relaxedSimd}`,
      wide: features.wideSimd,
      emit: () => emitSmall(p.b.dtype, features),
      args: smallBlock.words({
        a: operandAddress(p.a),
        b: operandAddress(p.b),
        c: operandAddress(p.c),
        bias: p.bias ? operandAddress(p.bias) : 0,
        m: p.m,
        n: p.n,
        k: p.k,
        kBlock: kBlockOf(p.k),
        rowStrideA: rowStrideA * 4,
        kStrideA: kStrideA * 4,
        columnStrideB: columnStrideB * bytesB,
        kStrideB: kStrideB * bytesB,
        size1: a.size1,
        size2: a.size2,
        stride0A: a.stride0,
        stride1A: a.stride1,
        stride2A: a.stride2,
        stride0B: b.stride0,
        stride1B: b.stride1,
        stride2B: b.stride2,
      }),
      units: p.batches,
      grain: Math.max(1, Math.round(2000 / unitCost)),
      cost: p.batches * unitCost,
      localBytes: TILE_SCRATCH + smallScratch(p),
    },
  ]
}
