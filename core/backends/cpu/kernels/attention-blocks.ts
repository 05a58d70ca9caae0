/** Pieces of blocked attention that its forward and backward kernels share. */
import {
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  type I32,
  I32x4,
  type ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import {
  type AttentionCode,
  type AttentionParameters,
  DROPOUT_MARGIN,
  emitDropoutRow,
} from './attention-arguments.ts'
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

export interface AttentionFunctions {
  readonly pack: FunctionHandle
  readonly tiles: AttentionTiles
  readonly store: FunctionHandle
  readonly dropoutRow: FunctionHandle | null
}

export const emitAttentionFunctions = (module: ModuleBuilder, code: AttentionCode): AttentionFunctions => ({
  pack: emitPackPanel(module, LANES, 'float32'),
  tiles: emitAttentionTiles(module),
  store: emitStoreLanes(module),
  dropoutRow: code.dropout ? emitDropoutRow(module) : null,
})

const BLOCK = ROW_BLOCK * ROW_BYTES

/** Thread-local scratch in bytes from `local`: blocks of [row][8], a row of dropout factors, then panels of [D][8]. */
export const SCRATCH = {
  scores: 0,
  /** Gradients of the probabilities. */
  gradients: BLOCK + SCORES_MARGIN,
  keep: 2 * (BLOCK + SCORES_MARGIN),
  dropoutRow: 3 * BLOCK + 2 * SCORES_MARGIN + DROPOUT_MARGIN,
  laneValues: 3 * BLOCK + 2 * SCORES_MARGIN + 2 * DROPOUT_MARGIN + ROW_BLOCK * 4,
  panels: 3 * BLOCK + 2 * SCORES_MARGIN + 2 * DROPOUT_MARGIN + ROW_BLOCK * 4 + ROW_BYTES,
} as const

/** Bytes of scratch with so many panels. */
export const scratchBytes = (depth: number, panels: number): number =>
  SCRATCH.panels + panels * depth * ROW_BYTES

/** Pointers of one query head of one batch. */
export interface Head {
  readonly batch: I32
  readonly head: I32
  readonly q: I32
  readonly k: I32
  readonly v: I32
  readonly mask: I32
  readonly o: I32
  readonly dOut: I32
  /** Number of the head's first query row among those of all batches and heads. */
  readonly row: I32
}

export function headOf(f: FunctionBuilder, p: AttentionParameters, batch: I32, head: I32): Head {
  const kvHead = f.let(head.divU(p.group))
  return {
    batch,
    head,
    q: f.let(p.q.add(batch.mul(p.qBatch)).add(head.mul(p.qHead))),
    k: f.let(p.k.add(batch.mul(p.kBatch)).add(kvHead.mul(p.kHead))),
    v: f.let(p.v.add(batch.mul(p.vBatch)).add(kvHead.mul(p.vHead))),
    mask: f.let(p.mask.add(batch.mul(p.maskBatch)).add(head.mul(p.maskHead))),
    o: f.let(p.o.add(batch.mul(p.oBatch)).add(head.mul(p.oHead))),
    dOut: f.let(p.dOut.add(batch.mul(p.dOutBatch)).add(head.mul(p.dOutHead))),
    row: f.let(batch.mul(p.heads).add(head).mul(p.queries)),
  }
}

/**
 * The mask at four lanes (`half` of a panel): from `pointer` (of the panel's first lane) on in steps of `stride` bytes; lanes
 * beyond `count` repeat the last one.
 */
export function loadMask(f: FunctionBuilder, pointer: I32, stride: I32, half: number, count: I32): F32x4 {
  const values = f.local(F32x4)
  f.if(
    stride.eqz(),
    () => values.set(pointer.loadSplatF32()),
    () => {
      const at = f.let(pointer)
      for (let lane = 0; lane < 4 * half + 4; lane++) {
        if (lane === 4 * half) values.set(at.loadSplatF32())
        else if (lane > 4 * half) values.set(values.withLane(lane - 4 * half, at.loadF32()))
        at.set(count.gtS(lane + 1).select<I32>(at.add(stride), at))
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
  readonly p: AttentionParameters
  readonly args: I32
  readonly local: I32
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
export function fillKeepByKey(c: AttentionContext, { row, queries, key, keys }: KeepRange): void {
  const { f, args, local } = c
  const { dropoutRow } = c.fn
  if (!dropoutRow) return
  const from = f.let(local.add(SCRATCH.dropoutRow))
  f.for(0, queries, 1, (lane) => {
    f.call(dropoutRow, args, row.add(lane), key, keys, from)
    const to = f.let(local.add(lane.shl(2)))
    f.for(0, keys, 1, (j) => {
      f.storeF32(to, from.add(j.shl(2)).loadF32(), SCRATCH.keep)
      to.set(to.add(ROW_BYTES))
    })
  })
}

/** Fills `keep` with dropout factors, keys across the lanes: row i for query row `row` + i. */
export function fillKeepByQuery(c: AttentionContext, { row, queries, key, keys }: KeepRange): void {
  const { f, args, local } = c
  const { dropoutRow } = c.fn
  if (!dropoutRow) return
  const from = f.let(local.add(SCRATCH.dropoutRow))
  const to = f.let(local.add(SCRATCH.keep))
  f.for(0, queries, 1, (i) => {
    f.call(dropoutRow, args, row.add(i), key, keys, from)
    for (const half of HALVES) f.storeVector(to, from.loadF32x4(16 * half), 16 * half)
    to.set(to.add(ROW_BYTES))
  })
}
