/**
 * Products of few rows with a b that is contiguous along N (the gradient of a layer's input): a thread packs a strip of b into its
 * own cache and takes all rows of a through it, which are read where they are. No other thread waits for the packing, and
 * what was packed is not written to memory.
 */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import { Address, type FunctionHandle, I32, ModuleBuilder } from '../assembler.ts'
import type { CpuFeatures, Dispatch } from '../dispatch.ts'
import { argumentBlock, ceilDiv, operandAddress } from './arguments.ts'
import { loadFour } from './elements.ts'
import { emitPackPanel, type PanelWidth, panelWidth } from './matmul-pack.ts'
import type { MatmulProblem } from './matmul-problem.ts'
import { emitRowsTile, MOST_STREAMED_ROWS } from './matmul-streamed-tile.ts'

/** Rows of a tile, and of one for what is left over: 6 are faster by the row. */
const HEIGHT = 6
const LOW = 4
/** Fewer rows of float32 wait for memory, which is read in longer runs by a kernel that packs nothing. */
const FEWEST = 9
/** Columns of a strip: two lines of the cache, which are fetched together. */
const STRIP = 32

const block = argumentBlock({
  a: 'address',
  b: 'address',
  c: 'address',
  bias: 'address',
  rows: 'i32',
  columns: 'i32',
  k: 'i32',
  aStride: 'address',
  bStride: 'address',
  cStride: 'address',
})

/** `packStrip(to, panelBytes, from, kStride, k)`: the panels of a whole strip, side by side; strides in bytes. */
function emitPackStrip(module: ModuleBuilder, width: PanelWidth, dtype: DType): FunctionHandle {
  const { deviceBytes } = dtypeInfo(dtype)
  const parameters = { to: Address, panelBytes: Address, from: Address, kStride: Address, k: I32 }
  return module.function(null, parameters, (f, { to, panelBytes, from, kStride, k }) => {
    const panels = [f.let(to)]
    while (panels.length < STRIP / width) panels.push(f.let(panels[panels.length - 1].add(panelBytes)))
    f.for(0, k, 1, () => {
      for (const [i, panel] of panels.entries()) {
        const vectors = Array.from({ length: width / 4 }, (_, v) =>
          f.let(loadFour(f, dtype, from, (i * width + 4 * v) * deviceBytes)),
        )
        for (const [v, vector] of vectors.entries()) f.storeVector(panel, vector, 16 * v)
        panel.set(panel.add(width * 4))
      }
      from.set(from.add(kStride))
    })
  })
}

/** Unit: a strip of columns. */
function emitStrips(dtype: DType, features: CpuFeatures, hasBias: boolean): ModuleBuilder {
  const module = new ModuleBuilder(features)
  const width = panelWidth(features)
  const bytes = dtypeInfo(dtype).deviceBytes
  const packPanel = emitPackPanel(module, width, dtype)
  const bias = hasBias ? 'columns' : null
  const [tile, lowTile] = [HEIGHT, LOW].map((height) =>
    emitRowsTile(module, { dtype: 'float32', height, panel: width, width, bias }),
  )
  const packStrip = emitPackStrip(module, width, dtype)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = block.read(f, args)
      const edge = local
      const edgeBias = f.let(local.add(HEIGHT * width * 4))
      const strip = f.let(edgeBias.add(width * 4))
      const panelBytes = f.let(Address.of(p.k).mul(width * 4))
      f.for(start, end, 1, (unit) => {
        const first = f.let(unit.mul(STRIP))
        const last = f.let(first.add(STRIP).minS(p.columns))
        const from = f.let(p.b.at(first, bytes))
        const count = f.let(last.sub(first))
        f.if(
          count.eq(STRIP),
          () => f.call(packStrip, strip, panelBytes, from, p.bStride, p.k),
          () => {
            const to = f.let(strip)
            f.for(0, count, width, (done) => {
              const columns = count.sub(done).minS(I32.const(width))
              f.call(packPanel, to, from.at(done, bytes), Address.const(bytes), p.bStride, columns, p.k)
              to.set(to.add(panelBytes))
            })
          },
        )
        const panel = f.let(strip)
        f.for(first, last, width, (column) => {
          const columns = f.let(last.sub(column).minS(I32.const(width)))
          const bias = f.let(p.bias.at(column, 4))
          const isWhole = f.let(columns.eq(width))
          if (hasBias)
            f.if(isWhole.eqz(), () => {
              f.memoryCopy(edgeBias, bias, columns.shl(2))
              bias.set(edgeBias)
            })
          const compute = (micro: FunctionHandle, height: number, row: I32) => {
            const a = p.a.at(row, p.aStride)
            const c = f.let(p.c.at(row, p.cStride).at(column, 4))
            const call = (to: Address, stride: Address) =>
              f.call(micro, a, p.aStride, panel, p.k, bias, Address.const(0), to, stride)
            f.if(
              isWhole,
              () => call(c, p.cStride),
              () => {
                call(edge, Address.const(width * 4))
                f.for(0, height, 1, (r) =>
                  f.memoryCopy(c.at(r, p.cStride), edge.at(r, width * 4), columns.shl(2)),
                )
              },
            )
          }
          const row = f.let(I32.const(0))
          f.forFrom(row, p.rows.sub(LOW), HEIGHT, () =>
            // the last rows once more, where they do not fill a tile
            compute(tile, HEIGHT, f.let(row.minS(p.rows.sub(HEIGHT)))),
          )
          f.if(row.ltS(p.rows), () => compute(lowTile, LOW, f.let(p.rows.sub(LOW))))
          panel.set(panel.add(panelBytes))
        })
      })
    },
  )
  return module
}

/** Whether a's rows are contiguous along K and b's along N, few of the first, and a strip stays in the second-level cache. */
export const isInStrips = (p: MatmulProblem): boolean =>
  p.batches === 1 &&
  p.a.strides.at(-1) === 1 &&
  p.b.strides.at(-1) === 1 &&
  p.m >= (p.b.dtype === 'float32' ? FEWEST : HEIGHT) &&
  p.m <= MOST_STREAMED_ROWS &&
  p.n >= 2 * STRIP &&
  p.k > 0 &&
  p.k <= 4096

export function lowerStrips(p: MatmulProblem, features: CpuFeatures): Dispatch[] {
  const bytes = dtypeInfo(p.b.dtype).deviceBytes
  const width = panelWidth(features)
  const hasBias = p.bias !== null
  return [
    {
      codeKey: `matmul.strips.${p.b.dtype}.${hasBias}.${features.relaxedSimd}.${features.wideSimd}`,
      wide: features.wideSimd,
      emit: () => emitStrips(p.b.dtype, features, hasBias),
      args: block.words({
        a: operandAddress(p.a),
        b: operandAddress(p.b),
        c: operandAddress(p.c),
        bias: p.bias ? operandAddress(p.bias) : 0,
        rows: p.m,
        columns: p.n,
        k: p.k,
        aStride: p.a.strides.at(-2)! * 4,
        bStride: p.b.strides.at(-2)! * bytes,
        cStride: p.n * 4,
      }),
      units: ceilDiv(p.n, STRIP),
      grain: 1,
      cost: (2 * (p.m + 4) * p.n * p.k) / 100,
      localBytes: (HEIGHT + 1) * width * 4 + STRIP * p.k * 4,
    },
  ]
}
