/**
 * Pieces of attention over short segments: one unit owns a whole segment of one head, so that its scores are computed once,
 * and need no second pass and no running maximum. Keys lie across the lanes (a block of scores is [query][key]); rows are
 * padded to whole tiles, whose contents nobody reads.
 */
import {
  Address,
  type F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  I32x4,
  ModuleBuilder,
} from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import {
  type AttentionCall,
  type AttentionCode,
  type AttentionParameters,
  attentionBlock,
  codeKeyOf,
  type DropoutBlocks,
  dropoutBlocks,
  isShort,
  SHORT,
} from './attention-arguments.ts'
import { type Head, loadMask } from './attention-blocks.ts'
import { emitRowProduct, type RowProduct } from './attention-row-product.ts'
import { emitScores, LANES, SCORES_ROWS } from './attention-tiles.ts'
import { type NegativeExponential, negativeExponential } from './exp-negative.ts'
import { emitPackPanel } from './matmul-pack.ts'

/** Queries whose scores are in work at a time. */
export const QUERY_BLOCK = 32

/** Whether all of a call that is not packed is one short segment. */
export const isShortCall = ({ shape, code }: AttentionCall): boolean =>
  !code.packed && shape.queries <= SHORT && shape.keys <= SHORT

/** Floats after a row's tiles: a row of dropout factors begins up to 15 before its place. */
const ROW_MARGIN = 16
const BLOCK = (QUERY_BLOCK + SCORES_ROWS - 1) * (SHORT + LANES + ROW_MARGIN) * 4
/** Bytes that lie outside a block of dropout factors. */
const OUTSIDE = 64

/** Thread-local scratch in bytes: blocks of [query][key], values of each query, then panels of [D][8] keys. */
export const SHORT_SCRATCH = {
  scores: 0,
  /** Gradients of the probabilities. */
  gradients: BLOCK,
  keep: 2 * BLOCK + OUTSIDE,
  /** Four floats for each query. */
  rowVectors: 3 * BLOCK + 2 * OUTSIDE,
  /** A float for each query: lse and the pivot of the exponentials, or delta. */
  lse: 3 * BLOCK + 2 * OUTSIDE + 16 * QUERY_BLOCK,
  rowValues: 3 * BLOCK + 2 * OUTSIDE + 20 * QUERY_BLOCK,
  /** A row of D zeros, then panels of packed keys. */
  zeros: 3 * BLOCK + 2 * OUTSIDE + 24 * QUERY_BLOCK,
} as const

/** With so many matrices of packed keys. */
const shortScratchBytes = (depth: number, matrices: number): number =>
  SHORT_SCRATCH.zeros + (1 + matrices * (SHORT + LANES)) * depth * 4

interface ShortFunctions {
  readonly pack: FunctionHandle
  readonly scores: FunctionHandle
  readonly product: RowProduct
}

const emitShortFunctions = (module: ModuleBuilder, code: AttentionCode): ShortFunctions => ({
  pack: emitPackPanel(module, LANES, 'float32'),
  scores: emitScores(module, code.wideSimd),
  product: emitRowProduct(module, code.wideSimd),
})

export interface ShortContext {
  readonly f: FunctionBuilder
  readonly code: AttentionCode
  readonly fn: ShortFunctions
  readonly exp: NegativeExponential
  readonly dropout: DropoutBlocks | null
  readonly p: AttentionParameters
  readonly local: Address
}

/** Queries and keys of a segment: numbers of the first ones, and how many. */
export interface Segment {
  readonly query: I32
  readonly queries: I32
  readonly key: I32
  readonly keys: I32
  /** Bytes from one row of scores to the next. */
  readonly rowBytes: Address
}

const segmentOf = (f: FunctionBuilder, s: Omit<Segment, 'rowBytes'>): Segment => ({
  ...s,
  rowBytes: f.let(
    Address.of(
      s.keys
        .add(LANES - 1)
        .and(-LANES)
        .add(ROW_MARGIN),
    ).shl(2),
  ),
})

type SegmentBody<S> = (c: ShortContext, batch: I32, kvHead: I32, segment: S) => void

/** What is done with segments: with short ones, and with those that are not. */
export interface SegmentBodies {
  readonly short: SegmentBody<Segment>
  readonly other?: SegmentBody<Omit<Segment, 'rowBytes'>>
}

/** Unit: a segment of one key head (segment by segment, the heads of a segment side by side). `bodies` may add functions. */
export function emitSegments(
  code: AttentionCode,
  bodies: (module: ModuleBuilder) => SegmentBodies,
): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const fn = emitShortFunctions(module, code)
  const { short, other } = bodies(module)
  const parameters = { args: Address, start: I32, end: I32, local: Address }
  module.function('run', parameters, (f, { args, start, end, local }) => {
    const p = attentionBlock.read(f, args)
    const exp = negativeExponential(f)
    const dropout = code.dropout ? dropoutBlocks(f, p) : null
    const c: ShortContext = { f, code, fn, p, exp, dropout, local }
    const kvHeads = f.let(p.heads.divU(p.group))
    const give = <S>(body: SegmentBody<S>, batchHead: I32, segment: S) =>
      body(c, f.let(batchHead.divU(kvHeads)), f.let(batchHead.remU(kvHeads)), segment)
    f.for(start, end, 1, (unit) => {
      if (!code.packed) {
        const none = f.let(I32.const(0))
        give(short, unit, segmentOf(f, { query: none, queries: p.queries, key: none, keys: p.kvLength }))
        return
      }
      const batchHead = f.let(unit.remU(p.batchHeads))
      const at = f.let(p.cuSeqlens.at(unit.divU(p.batchHeads), 4))
      const from = f.let(at.load(0))
      const length = f.let(at.load(4).sub(from))
      const clipped = (limit: I32) => f.let(length.minS(f.let(limit.sub(from))).maxS(I32.const(0)))
      const segment = { query: from, queries: clipped(p.queries), key: from, keys: clipped(p.kvLength) }
      f.if(
        isShort(length),
        () => give(short, batchHead, segmentOf(f, segment)),
        () => other && give(other, batchHead, segment),
      )
    })
  })
  return module
}

/** The dispatch of such a kernel. `pairCost`: nanoseconds for a query and a key; `matrices`: of packed keys. */
export function segmentsDispatch(
  { shape, code, words }: AttentionCall,
  kernel: { name: string; emit: (code: AttentionCode) => ModuleBuilder; pairCost: number; matrices: number },
): Dispatch {
  const heads = shape.batch * shape.kvHeads
  const units = heads * (code.packed ? Number(words.segments) : 1)
  const pairs = shape.batch * shape.heads * shape.queries * Math.min(shape.keys, SHORT / 4)
  return {
    codeKey: codeKeyOf(kernel.name, code),
    emit: () => kernel.emit(code),
    wide: code.wideSimd,
    args: attentionBlock.words({ ...words, batchHeads: heads }),
    units,
    // heads side by side lie side by side in memory
    grain: Math.max(1, Math.min(4, Math.floor(units / 16))),
    cost: pairs * kernel.pairCost,
    localBytes: shortScratchBytes(shape.depth, kernel.matrices),
  }
}

/** Panels of the segment's keys, or values: [D][8] each. */
export function packKeys(c: ShortContext, s: Segment, rows: Address, rowStride: Address, to: Address): void {
  const { f, fn, p } = c
  const at = f.let(to)
  const from = f.let(rows)
  const bytes = f.let(Address.of(p.depth).mul(LANES * 4))
  f.for(0, s.keys, LANES, (key) => {
    const count = f.let(s.keys.sub(key).minS(I32.const(LANES)))
    f.call(fn.pack, at, from, rowStride, Address.const(4), count, p.depth)
    at.set(at.add(bytes))
    from.set(from.add(rowStride.mul(LANES)))
  })
}

/** to[query][key] = rows[query] . keys[key], for packed keys. */
export function scoresOf(
  c: ShortContext,
  s: Segment,
  operands: { rows: Address; rowStride: Address; count: I32; panels: Address; to: Address },
): void {
  const { f, fn, p } = c
  const { rows, rowStride, count, panels } = operands
  const panel = f.let(panels)
  const to = f.let(operands.to)
  const bytes = f.let(Address.of(p.depth).mul(LANES * 4))
  f.for(0, s.keys, LANES, () => {
    f.call(fn.scores, rows, rowStride, count, p.depth, panel, to, s.rowBytes)
    panel.set(panel.add(bytes))
    to.set(to.add(LANES * 4))
  })
}

/** Fills `keep` with the dropout factors of `count` queries from number `row` (of all batches and heads) on. */
export function fillKeep({ f, local, dropout }: ShortContext, s: Segment, row: I32, count: I32): void {
  if (!dropout) return
  const keep = f.let(local.add(SHORT_SCRATCH.keep))
  const to = f.local(Address)
  f.for(0, count, 1, (i) => {
    dropout(
      { row: row.add(i), column: s.key, count: s.keys },
      (lead) => to.set(keep.sub(Address.of(lead).shl(2))),
      (factors) => {
        factors.forEach((four, j) => {
          f.storeVector(to, four, 16 * j)
        })
        to.set(to.add(64))
      },
    )
    keep.set(keep.add(s.rowBytes))
  })
}

/** The mask at four keys from `key` + 4 `half` on, in the row of a query at `row`. */
export const maskAt = (c: ShortContext, s: Segment, row: Address, j: I32, half: number): F32x4 =>
  loadMask(c.f, c.f.let(row.at(j, c.p.maskColumn)), c.p.maskColumn, half, c.f.let(s.keys.sub(j)))

/** The mask's row of a query, at the segment's first key. */
export const maskRow = (c: ShortContext, s: Segment, head: Head, query: I32): Address =>
  c.f.let(head.mask.at(query, c.p.maskRow).at(s.key, c.p.maskColumn))

/** The last key of the segment that query `query` sees; -1 or less where there is none. */
export function lastSeen(c: ShortContext, s: Segment, query: I32): I32 {
  const last = s.keys.sub(1)
  if (!c.code.causal) return last
  // query i sees keys up to i + kvLength - queries
  return c.f.let(last).minS(c.f.let(query.add(c.p.kvLength).sub(c.p.queries).sub(s.key)))
}

const lanesOf = [I32x4.const(0, 1, 2, 3), I32x4.const(4, 5, 6, 7)]
/** Which of four lanes (`half` of the keys from `j` on) lie beyond the last key that is seen. */
export const unseenLanes = (j: I32, last: I32, half: 0 | 1): I32x4 => lanesOf[half].gtS(last.sub(j).splat())
