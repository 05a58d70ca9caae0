import { Address, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { emitMicroKernel } from './matmul-microkernel.ts'
import { PANEL_A, type PanelWidth } from './matmul-pack.ts'

/** Rows of a tile: their panels (147 KiB at K = 384) and some of b fit the second-level cache. */
export const TILE_ROWS = 16 * PANEL_A
/** Bytes of zeros at the start of the thread-local scratch of `tile`: one row of the widest tile. */
export const TILE_ZEROS = 16 * 4
/** Bytes of thread-local scratch that `tile` uses: the zeros, and a tile for the edges. */
export const TILE_SCRATCH = TILE_ZEROS + PANEL_A * 16 * 4

/** Blocks of K whose panels (44 KiB at most) stay in the first-level cache beside each other; a smaller one keeps that of a. */
const LARGEST_K_BLOCK = 512

/** Even blocks of K, whole steps of the unrolled micro-kernel. The order of the sum follows from K alone. */
export const kBlockOf = (k: number): number => {
  const blocks = Math.max(1, Math.ceil(k / LARGEST_K_BLOCK))
  return Math.max(4, Math.ceil(k / blocks / 4) * 4)
}

/**
 * `tile(a, b, panelsA, panelsB, firstA, firstB, rows, columns, k, kBlock, c, cStride, bias, local)`: rows x columns of the
 * result from packed operands, laid out [block of K][panel][k][6 or `width`]; `panelsA`, `panelsB`: panels in a block; `firstA`,
 * `firstB`: the tile's first ones. `bias` (of the first column) is 0 where there is none. The first `TILE_ZEROS` bytes of
 * `local` are zero.
 */
export function emitTile(module: ModuleBuilder, width: PanelWidth): FunctionHandle {
  const micro = emitMicroKernel(module, width)

  // An edge tile is computed whole in scratch; only the part that exists is read and written.
  const edgeParameters = {
    a: Address,
    b: Address,
    k: I32,
    from: Address,
    fromStride: Address,
    to: Address,
    toStride: Address,
    rows: I32,
    columns: I32,
    scratch: Address,
  }
  const edge = module.function(null, edgeParameters, (f, p) => {
    const stride = width * 4
    const copy = (to: Address, toStride: Address | number, from: Address, fromStride: Address | number) =>
      f.for(0, p.rows, 1, (r) => {
        const source = f.let(from.at(r, fromStride))
        const target = f.let(to.at(r, toStride))
        const c = f.let(I32.const(0))
        const advance = (columns: number) => {
          source.set(source.add(columns * 4))
          target.set(target.add(columns * 4))
        }
        f.forFrom(c, p.columns.sub(3), 4, () => {
          f.storeVector(target, source.loadF32x4())
          advance(4)
        })
        f.forFrom(c, p.columns, 1, () => {
          f.storeF32(target, source.loadF32())
          advance(1)
        })
      })
    copy(p.scratch, stride, p.from, p.fromStride)
    f.call(micro, p.a, p.b, p.k, p.scratch, Address.const(stride), p.scratch, Address.const(stride))
    copy(p.to, p.toStride, p.scratch, stride)
  })

  const parameters = {
    a: Address,
    b: Address,
    panelsA: I32,
    panelsB: I32,
    firstA: I32,
    firstB: I32,
    rows: I32,
    columns: I32,
    k: I32,
    kBlock: I32,
    c: Address,
    cStride: Address,
    bias: Address,
    local: Address,
  }
  return module.function(null, parameters, (f, p) => {
    const k0 = f.let(I32.const(0))
    f.loop((nextBlock) => {
      const length = f.let(p.kBlock.minS(p.k.sub(k0)))
      const stepA = f.let(Address.of(length).mul(PANEL_A * 4))
      const stepB = f.let(Address.of(length).mul(width * 4))
      const blockA = f.let(p.a.at(k0.mul(p.panelsA), PANEL_A * 4).add(stepA.mul(p.firstA)))
      const b = f.let(p.b.at(k0.mul(p.panelsB), width * 4).add(stepB.mul(p.firstB)))
      const from = f.local(Address)
      const fromStride = f.local(Address)
      f.for(0, p.columns, width, (column) => {
        const a = f.let(blockA)
        const to = f.let(p.c.at(column, 4))
        f.for(0, p.rows, PANEL_A, (row) => {
          f.if(
            k0.ne(0),
            () => {
              from.set(to)
              fromStride.set(p.cStride)
            },
            () => {
              from.set(p.bias.select<Address>(p.bias.at(column, 4), p.local))
              fromStride.set(0)
            },
          )
          const rows = f.let(p.rows.sub(row))
          const columns = f.let(p.columns.sub(column))
          f.if(
            rows.geS(PANEL_A).and(columns.geS(width)),
            () => f.call(micro, a, b, length, from, fromStride, to, p.cStride),
            () => {
              const scratch = p.local.add(TILE_ZEROS)
              f.call(
                edge,
                a,
                b,
                length,
                from,
                fromStride,
                to,
                p.cStride,
                rows.minS(I32.const(PANEL_A)),
                columns.minS(I32.const(width)),
                scratch,
              )
            },
          )
          a.set(a.add(stepA))
          to.set(to.add(p.cStride.mul(PANEL_A)))
        })
        b.set(b.add(stepB))
      })
      k0.set(k0.add(p.kBlock))
      f.brIf(nextBlock, k0.ltS(p.k))
    })
  })
}
