/**
 * Attention without a matrix of all scores: blocks of keys, and a running maximum and sum for every query (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). Eight queries lie
 * across the lanes, so that the softmax needs no sums over lanes.
 */
import {
  F32x4,
  type FunctionBuilder,
  type FunctionHandle,
  I32,
  I32x4,
  ModuleBuilder,
  type Variable,
} from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { ceilDiv } from './arguments.ts'
import {
  type AttentionCall,
  type AttentionCode,
  type AttentionParameters,
  attentionBlock,
  codeKeyOf,
  DROPOUT_MARGIN,
  eachPiece,
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
import { expNegative } from './exp-negative.ts'
import { emitPackPanel } from './matmul-pack.ts'
import { logVector } from './vector-expr.ts'

/** Queries of a unit. */
export const QUERY_BLOCK = 64
/** Keys whose scores are in work at a time. */
export const KEY_BLOCK = 128

/** Thread-local scratch: addresses in bytes from `local`; panels and sums of [D][8] follow at `panels`. */
const SCORES = 0
const DROPOUT_ROW = SCORES + KEY_BLOCK * ROW_BYTES + SCORES_MARGIN
const KEEP = DROPOUT_ROW + 2 * DROPOUT_MARGIN + KEY_BLOCK * 4
const LANE_VALUES = KEEP + KEY_BLOCK * ROW_BYTES
const PANELS = LANE_VALUES + ROW_BYTES

interface Functions {
  readonly pack: FunctionHandle
  readonly tiles: AttentionTiles
  readonly store: FunctionHandle
  readonly dropoutRow: FunctionHandle | null
}

/** Two vectors that hold a value for each of the eight queries. */
type Pair = [Variable<F32x4>, Variable<F32x4>]
const HALVES = [0, 1] as const

interface Panel {
  /** First query, number of queries (1 to 8), keys from `first` to `last`. */
  readonly query: I32
  readonly count: I32
  readonly first: I32
  readonly last: I32
}

/** Pointers of one head of one batch. */
interface Head {
  readonly q: I32
  readonly k: I32
  readonly v: I32
  readonly mask: I32
  /** Number of the head's first query row among all batches and heads. */
  readonly row: I32
  readonly o: I32
}

function headOf(f: FunctionBuilder, p: AttentionParameters, batchHead: I32): Head {
  const batch = f.let(batchHead.divU(p.heads))
  const head = f.let(batchHead.remU(p.heads))
  const kvHead = f.let(head.divU(p.group))
  return {
    q: f.let(p.q.add(batch.mul(p.qBatch)).add(head.mul(p.qHead))),
    k: f.let(p.k.add(batch.mul(p.kBatch)).add(kvHead.mul(p.kHead))),
    v: f.let(p.v.add(batch.mul(p.vBatch)).add(kvHead.mul(p.vHead))),
    mask: f.let(p.mask.add(batch.mul(p.maskBatch)).add(head.mul(p.maskHead))),
    row: f.let(batchHead.mul(p.queries)),
    o: f.let(p.o.add(batch.mul(p.oBatch)).add(head.mul(p.oHead))),
  }
}

/** The mask of key `key` for four queries (`half` of the panel) from `pointer` (of the panel's first query) on. */
function loadMask(f: FunctionBuilder, p: AttentionParameters, pointer: I32, half: number, count: I32): F32x4 {
  const values = f.local(F32x4)
  f.if(
    p.maskRow.eqz(),
    () => values.set(pointer.loadSplatF32()),
    () => {
      const at = f.let(pointer)
      for (let lane = 0; lane < 4 * half + 4; lane++) {
        if (lane === 4 * half) values.set(at.loadSplatF32())
        else if (lane > 4 * half) values.set(values.withLane(lane - 4 * half, at.loadF32()))
        // queries that do not exist repeat the last one
        at.set(count.gtS(lane + 1).select<I32>(at.add(p.maskRow), at))
      }
    },
  )
  return values
}

/** Fills [key][8] with the dropout factors of the panel's queries for `count` keys from `key` on. */
function fillKeep(
  f: FunctionBuilder,
  fn: Functions,
  args: I32,
  local: I32,
  at: { row: I32; queries: I32; key: I32; count: I32 },
): void {
  if (!fn.dropoutRow) return
  const from = f.let(local.add(DROPOUT_ROW + DROPOUT_MARGIN))
  f.for(0, at.queries, 1, (lane) => {
    f.call(fn.dropoutRow!, args, at.row.add(lane), at.key, at.count, from)
    const to = f.let(local.add(lane.shl(2)))
    f.for(0, at.count, 1, (j) => {
      f.storeF32(to, from.add(j.shl(2)).loadF32(), KEEP)
      to.set(to.add(ROW_BYTES))
    })
  })
}

function panelOf(
  f: FunctionBuilder,
  code: AttentionCode,
  fn: Functions,
  p: AttentionParameters,
  at: Head & Panel & { args: I32; local: I32 },
) {
  const { local, query, count, first } = at
  const scores = f.let(local.add(SCORES))
  const queryPanel = f.let(local.add(PANELS))
  const sums = f.let(queryPanel.add(p.depth.mul(ROW_BYTES)))
  const scale = f.let(p.scale.splat())
  const minusInfinity = F32x4.const(Number.NEGATIVE_INFINITY)
  const max: Pair = [f.let(minusInfinity), f.let(minusInfinity)]
  const total: Pair = [f.let(F32x4.const(0)), f.let(F32x4.const(0))]
  f.call(fn.pack, queryPanel, at.q.add(query.mul(p.qRow)), p.qRow, I32.const(4), count, p.depth)
  f.memoryFill(sums, 0, p.depth.mul(ROW_BYTES))
  // the last key that query i sees is i + kvLength - queries
  const offset = f.let(query.add(p.kvLength).sub(p.queries))
  const last = f.let<I32>(at.last)
  if (code.causal) last.set(last.minS(f.let(offset.add(count))))
  const limits = [I32x4.const(0, 1, 2, 3), I32x4.const(4, 5, 6, 7)].map((lanes) =>
    f.let(lanes.add(offset.splat())),
  )

  f.for(first, last, KEY_BLOCK, (key) => {
    const keys = f.let(last.sub(key).minS(I32.const(KEY_BLOCK)))
    f.call(fn.tiles.scores, at.k.add(key.mul(p.kRow)), p.kRow, keys, p.depth, queryPanel, scores)
    fillKeep(f, fn, at.args, local, { row: at.row.add(query), queries: count, key, count: keys })

    // scale, mask, and the new maximum
    const old: Pair = [f.let<F32x4>(max[0]), f.let<F32x4>(max[1])]
    const mask = f.let(at.mask.add(query.mul(p.maskRow)).add(key.mul(p.maskColumn)))
    const s = f.let<I32>(scores)
    f.for(0, keys, 1, (j) => {
      for (const half of HALVES) {
        const value = f.let(s.loadF32x4(16 * half).mul(scale))
        if (code.mask) value.set(value.add(loadMask(f, p, mask, half, count)))
        if (code.causal) value.set(key.add(j).splat().gtS(limits[half]).select(minusInfinity, value))
        max[half].set(max[half].pmax(value))
        f.storeVector(s, value, 16 * half)
      }
      s.set(s.add(ROW_BYTES))
      if (code.mask) mask.set(mask.add(p.maskColumn))
    })

    // where there is no finite score yet, subtract 0: 2^-inf is 0
    const pivot = max.map((m) => f.let(m.eq(minusInfinity).select<F32x4>(F32x4.const(0), m)))
    const shrink = old.map((m, half) => f.let(expNegative(f, m.sub(pivot[half]))))
    for (const half of HALVES) total[half].set(total[half].mul(shrink[half]))
    f.if(key.ne(first), () => {
      const sum = f.let<I32>(sums)
      f.for(0, p.depth, 1, () => {
        for (const half of HALVES) f.storeVector(sum, sum.loadF32x4(16 * half).mul(shrink[half]), 16 * half)
        sum.set(sum.add(ROW_BYTES))
      })
    })

    const w = f.let<I32>(scores)
    f.for(0, keys, 1, () => {
      for (const half of HALVES) {
        const e = f.let(expNegative(f, w.loadF32x4(16 * half).sub(pivot[half])))
        total[half].set(total[half].add(e))
        f.storeVector(w, code.dropout ? e.mul(w.add(KEEP - SCORES).loadF32x4(16 * half)) : e, 16 * half)
      }
      w.set(w.add(ROW_BYTES))
    })
    f.call(fn.tiles.accumulate, at.v.add(key.mul(p.vRow)), p.vRow, keys, p.depth, scores, sums)
  })

  // divide by the sums; a query without keys gives 0 and lse -inf
  const inverse = total.map((t) => f.let(t.eq(F32x4.const(0)).select(F32x4.const(0), F32x4.const(1).div(t))))
  const sum = f.let<I32>(sums)
  f.for(0, p.depth, 1, () => {
    for (const half of HALVES) f.storeVector(sum, sum.loadF32x4(16 * half).mul(inverse[half]), 16 * half)
    sum.set(sum.add(ROW_BYTES))
  })
  f.call(fn.store, sums, p.depth, at.o.add(query.mul(p.oRow)), p.oRow, count)
  for (const half of HALVES) {
    const lse = max[half].add(logVector(f, total[half]))
    f.storeVector(local, lse, LANE_VALUES + 16 * half)
  }
  f.memoryCopy(p.lse.add(at.row.add(query).shl(2)), local.add(LANE_VALUES), count.shl(2))
}

/** Unit: a block of queries of one head of one batch. */
function emitForward(code: AttentionCode): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder(code)
  const fn: Functions = {
    pack: emitPackPanel(module, LANES, 'float32'),
    tiles: emitAttentionTiles(module),
    store: emitStoreLanes(module),
    dropoutRow: code.dropout ? emitDropoutRow(module) : null,
  }
  module.function(
    'run',
    { args: I32, start: I32, end: I32, local: I32 },
    (f, { args, start, end, local }) => {
      const p = attentionBlock.read(f, args)
      f.for(start, end, 1, (unit) => {
        const head = headOf(f, p, f.let(unit.divU(p.blocks)))
        const from = f.let(unit.remU(p.blocks).mul(QUERY_BLOCK))
        const to = f.let(from.add(QUERY_BLOCK).minS(p.queries))
        eachPiece(f, p, code.packed, { start: from, end: to, partners: p.kvLength }, (piece) =>
          f.for(piece.start, piece.end, LANES, (query) => {
            const count = f.let(piece.end.sub(query).minS(I32.const(LANES)))
            panelOf(f, code, fn, p, {
              ...head,
              args,
              local,
              query,
              count,
              first: piece.first,
              last: piece.last,
            })
          }),
        )
      })
    },
  )
  return module.bytes()
}

export function lowerBlockedForward(call: AttentionCall): Dispatch[] {
  const { shape, code } = call
  const blocks = ceilDiv(shape.queries, QUERY_BLOCK)
  const units = shape.batch * shape.heads * blocks
  return [
    {
      codeKey: codeKeyOf('attention', code),
      emit: () => emitForward(code),
      args: attentionBlock.words({ ...call.words, blocks }),
      units,
      grain: 1,
      cost:
        shape.batch *
        shape.heads *
        shape.queries *
        Math.min(shape.keys, code.packed ? 64 : shape.keys) *
        shape.depth *
        0.12,
      localBytes: PANELS + 2 * shape.depth * ROW_BYTES,
    },
  ]
}
