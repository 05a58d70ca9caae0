/** Pieces of blocked attention that its forward and backward kernels share. */
import {
  Address,
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  type I32,
  I32x4,
  type ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import type { AttentionCode, AttentionParameters, DropoutBlocks } from './attention-arguments.ts'
import {
  type AttentionTiles,
  emitAttentionTiles,
  emitStoreLanes,
  LANES,
  ROW_BYTES,
  SCORES_MARGIN,
} from './attention-tiles.ts'
import type { NegativeExponential } from './exp-negative.ts'
import { emitPackPanel } from './matmul-pack.ts'

/** Tokens across the lanes in a unit. */
export const LANE_BLOCK = 64
/** Tokens of the other side whose scores are in work at a time. */
export const ROW_BLOCK = 128

/** The low and the high half of a panel: two vectors for eight tokens. */
export const HALVES = [0, 1] as const
export type Pair = [Variable<F32x4>, Variable<F32x4>]

/**
 * Stores one value for each half at an address. Both are computed before either is stored: where a load comes between two
 * stores, the engine does not join them into one of 256 bits.
 */
export function storeHalves(
  f: FunctionBuilder,
  address: Address,
  offset: number,
  value: (half: 0 | 1) => F32x4,
): void {
  const values = HALVES.map((half) => f.let(value(half)))
  for (const half of HALVES) f.storeVector(address, values[half], offset + 16 * half)
}

export interface AttentionFunctions {
  readonly pack: FunctionHandle
  readonly tiles: AttentionTiles
  readonly store: FunctionHandle
}

export const emitAttentionFunctions = (module: ModuleBuilder, code: AttentionCode): AttentionFunctions => ({
  pack: emitPackPanel(module, LANES, 'float32'),
  tiles: emitAttentionTiles(module, code.wideSimd),
  store: emitStoreLanes(module),
})

const BLOCK = ROW_BLOCK * ROW_BYTES
/** Elements of a block of random bits that may lie outside the range asked for. */
const OUTSIDE = 15

/** Thread-local scratch in bytes from `local`: blocks of [row][8], a short row of dropout factors, then panels of [D][8]. */
const GRADIENTS = BLOCK + SCORES_MARGIN
const KEEP = GRADIENTS + BLOCK + SCORES_MARGIN + OUTSIDE * ROW_BYTES
const DROPOUT_ROW = KEEP + BLOCK + (OUTSIDE + 1) * ROW_BYTES
const LANE_VALUES = DROPOUT_ROW + (LANES + OUTSIDE) * 4
const PANELS = Math.ceil((LANE_VALUES + ROW_BYTES) / 16) * 16
export const SCRATCH = {
  scores: 0,
  /** Gradients of the probabilities. */
  gradients: GRADIENTS,
  keep: KEEP,
  dropoutRow: DROPOUT_ROW,
  laneValues: LANE_VALUES,
  panels: PANELS,
} as const

/** Bytes of scratch with so many panels. */
export const scratchBytes = (depth: number, panels: number): number =>
  SCRATCH.panels + panels * depth * ROW_BYTES

/** Pointers of one query head of one batch. */
export interface Head {
  readonly batch: I32
  readonly head: I32
  readonly q: Address
  readonly k: Address
  readonly v: Address
  readonly mask: Address
  readonly o: Address
  readonly dOut: Address
  /** Number of the head's first query row among those of all batches and heads. */
  readonly row: I32
}

export function headOf(f: FunctionBuilder, p: AttentionParameters, batch: I32, head: I32): Head {
  const kvHead = f.let(head.divU(p.group))
  return {
    batch,
    head,
    q: f.let(p.q.at(batch, p.qBatch).at(head, p.qHead)),
    k: f.let(p.k.at(batch, p.kBatch).at(kvHead, p.kHead)),
    v: f.let(p.v.at(batch, p.vBatch).at(kvHead, p.vHead)),
    mask: f.let(p.mask.at(batch, p.maskBatch).at(head, p.maskHead)),
    o: f.let(p.o.at(batch, p.oBatch).at(head, p.oHead)),
    dOut: f.let(p.dOut.at(batch, p.dOutBatch).at(head, p.dOutHead)),
    row: f.let(batch.mul(p.heads).add(head).mul(p.queries)),
  }
}

/**
 * The mask at four lanes (`half` of a panel): from `pointer` (of the panel's first lane) on in steps of `stride` bytes; lanes
 * beyond `count` repeat the last one.
 */
export function loadMask(
  f: FunctionBuilder,
  pointer: Address,
  stride: Address,
  half: number,
  count: I32,
): F32x4 {
  const values = f.local(F32x4)
  f.if(
    stride.isZero(),
    () => values.set(pointer.loadSplatF32()),
    () => {
      const at = f.let(pointer)
      for (let lane = 0; lane < 4 * half + 4; lane++) {
        if (lane === 4 * half) values.set(at.loadSplatF32())
        else if (lane > 4 * half) values.set(values.withLane(lane - 4 * half, at.loadF32()))
        at.set(count.gtS(lane + 1).select<Address>(at.add(stride), at))
      }
    },
  )
  return values
}

/** What the code of one unit works with. */
export interface AttentionContext {
  readonly f: FunctionBuilder
  readonly code: AttentionCode
  readonly fn: AttentionFunctions
  readonly exp: NegativeExponential
  readonly dropout: DropoutBlocks | null
  readonly p: AttentionParameters
  readonly local: Address
}

/** Up to eight tokens across the lanes. */
export interface LanePanel {
  readonly head: Head
  /** The first of them, their number, and the tokens of the other side from `first` to `last`. */
  readonly token: I32
  readonly count: I32
  readonly first: I32
  readonly last: I32
}

/** The end of the keys that a panel of queries sees, and the last key of each lane: i + kvLength - queries where causal. */
export function visibleKeys(c: AttentionContext, panel: LanePanel): { last: I32; limits: I32x4[] } {
  const { f, p, code } = c
  if (!code.causal) return { last: panel.last, limits: [] }
  const offset = f.let(panel.token.add(p.kvLength).sub(p.queries))
  const limits = [I32x4.const(0, 1, 2, 3), I32x4.const(4, 5, 6, 7)].map((lanes) =>
    f.let(lanes.add(offset.splat())),
  )
  return { last: f.let(panel.last.minS(f.let(offset.add(panel.count)))), limits }
}

interface KeepRange {
  /** Number of the first query row among those of all batches and heads. */
  readonly row: I32
  readonly queries: I32
  readonly key: I32
  readonly keys: I32
}

/** Fills `keep` with dropout factors, queries across the lanes: row j for key `key` + j. */
export function fillKeepByKey({ f, local, dropout }: AttentionContext, range: KeepRange): void {
  if (!dropout) return
  const to = f.local(Address)
  f.for(0, range.queries, 1, (lane) =>
    dropout(
      { row: range.row.add(lane), column: range.key, count: range.keys },
      (lead) => to.set(local.at(lane, 4).sub(Address.of(lead).mul(ROW_BYTES))),
      (factors) => {
        factors.forEach((four, i) => {
          const v = f.let(four)
          for (let j = 0; j < 4; j++) f.storeLane(to, v, j, SCRATCH.keep + (4 * i + j) * ROW_BYTES)
        })
        to.set(to.add(16 * ROW_BYTES))
      },
    ),
  )
}

/** Fills `keep` with dropout factors, keys across the lanes: row i for query row `row` + i. */
export function fillKeepByQuery({ f, local, dropout }: AttentionContext, range: KeepRange): void {
  if (!dropout) return
  const keep = f.let(local.add(SCRATCH.keep))
  const from = f.let(local.add(SCRATCH.dropoutRow))
  const to = f.local(Address)
  f.for(0, range.queries, 1, (i) => {
    dropout(
      { row: range.row.add(i), column: range.key, count: range.keys },
      (lead) => to.set(from.sub(Address.of(lead).shl(2))),
      (factors) => {
        factors.forEach((four, j) => {
          f.storeVector(to, four, 16 * j)
        })
        to.set(to.add(64))
      },
    )
    storeHalves(f, keep, 0, (half) => from.loadF32x4(16 * half))
    keep.set(keep.add(ROW_BYTES))
  })
}
