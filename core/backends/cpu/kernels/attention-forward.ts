/**
 * Attention without a matrix of all scores: blocks of keys, and a running maximum and sum for every query (Milakov and
 * Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). Eight queries lie
 * across the lanes, so that the softmax needs no sums over lanes.
 */
import { Address, F32x4, I32, type I32x4, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { ceilDiv } from './arguments.ts'
import {
  type AttentionCall,
  type AttentionCode,
  attentionBlock,
  codeKeyOf,
  dropoutBlocks,
  eachPiece,
} from './attention-arguments.ts'
import {
  type AttentionContext,
  emitAttentionFunctions,
  fillKeepByKey,
  HALVES,
  headOf,
  LANE_BLOCK,
  type LanePanel,
  loadMask,
  type Pair,
  ROW_BLOCK,
  SCRATCH,
  scratchBytes,
  storeHalves,
  visibleKeys,
} from './attention-blocks.ts'
import { LANES, ROW_BYTES } from './attention-tiles.ts'
import { negativeExponential } from './exp-negative.ts'
import { logVector } from './vector-functions.ts'

const minusInfinity = F32x4.const(Number.NEGATIVE_INFINITY)
const zero = F32x4.const(0)

/** Scales the block's scores in place, adds the mask, hides what comes later, and takes the maximum along. */
function finishScores(
  c: AttentionContext,
  panel: LanePanel,
  limits: I32x4[],
  key: I32,
  keys: I32,
  max: Pair,
): void {
  const { f, p, code, local } = c
  const { head, token: query, count } = panel
  const scale = f.let(p.scale.splat())
  const hidden = f.let(minusInfinity)
  const mask = f.let(head.mask.at(query, p.maskRow).at(key, p.maskColumn))
  const at = f.let(local)
  f.for(0, keys, 1, (j) => {
    storeHalves(f, at, SCRATCH.scores, (half) => {
      const score = f.let(at.loadF32x4(SCRATCH.scores + 16 * half).mul(scale))
      if (code.mask) score.set(score.add(loadMask(f, mask, p.maskRow, half, count)))
      if (code.causal) score.set(key.add(j).splat().gtS(limits[half]).select<F32x4>(hidden, score))
      max[half].set(max[half].pmax(score))
      return score
    })
    at.set(at.add(ROW_BYTES))
    if (code.mask) mask.set(mask.add(p.maskColumn))
  })
}

/** Multiplies the sums [D][8] by a factor for each lane. */
function scaleSums(c: AttentionContext, sums: Address, factor: readonly F32x4[]): void {
  const { f, p } = c
  const at = f.let(sums)
  f.for(0, p.depth, 1, () => {
    storeHalves(f, at, 0, (half) => at.loadF32x4(16 * half).mul(factor[half]))
    at.set(at.add(ROW_BYTES))
  })
}

/** The result of one panel of queries. */
function queryPanel(c: AttentionContext, panel: LanePanel): void {
  const { f, fn, p, code, local } = c
  const { head, token: query, count, first } = panel
  const scores = f.let(local.add(SCRATCH.scores))
  const q = f.let(local.add(SCRATCH.panels))
  const sums = f.let(q.at(p.depth, ROW_BYTES))
  f.call(fn.pack, q, head.q.at(query, p.qRow), p.qRow, Address.const(4), count, p.depth)
  f.memoryFill(sums, 0, p.depth.mul(ROW_BYTES))
  const max: Pair = [f.let(minusInfinity), f.let(minusInfinity)]
  const total: Pair = [f.let(zero), f.let(zero)]
  const { last, limits } = visibleKeys(c, panel)

  f.for(first, last, ROW_BLOCK, (key) => {
    const keys = f.let(last.sub(key).minS(I32.const(ROW_BLOCK)))
    f.call(
      fn.tiles.scores,
      head.k.at(key, p.kRow),
      p.kRow,
      keys,
      p.depth,
      q,
      scores,
      Address.const(ROW_BYTES),
    )
    fillKeepByKey(c, { row: head.row.add(query), queries: count, key, keys })
    const old = max.map((m) => f.let<F32x4>(m))
    finishScores(c, panel, limits, key, keys, max)

    // where every score is -inf so far, subtract 0 instead: the terms are 0, not NaN
    const pivot = max.map((m) => f.let(m.eq(minusInfinity).select<F32x4>(zero, m)))
    const shrink = old.map((m, half) => f.let(c.exp(m.sub(pivot[half]))))
    for (const half of HALVES) total[half].set(total[half].mul(shrink[half]))
    f.if(key.ne(first), () => scaleSums(c, sums, shrink))

    const at = f.let(local)
    f.for(0, keys, 1, () => {
      storeHalves(f, at, SCRATCH.scores, (half) => {
        const e = f.let(c.exp(at.loadF32x4(SCRATCH.scores + 16 * half).sub(pivot[half])))
        total[half].set(total[half].add(e))
        return code.dropout ? e.mul(at.loadF32x4(SCRATCH.keep + 16 * half)) : e
      })
      at.set(at.add(ROW_BYTES))
    })
    f.call(fn.tiles.accumulate, head.v.at(key, p.vRow), p.vRow, keys, p.depth, scores, sums)
  })

  // a query without keys gives 0, and lse -inf
  const inverse = total.map((t) => f.let(t.eq(zero).select(zero, F32x4.const(1).div(t))))
  scaleSums(c, sums, inverse)
  f.call(fn.store, sums, p.depth, head.o.at(query, p.oRow), p.oRow, count)
  for (const half of HALVES)
    f.storeVector(local, max[half].add(logVector(f, total[half])), SCRATCH.laneValues + 16 * half)
  f.memoryCopy(p.lse.at(head.row.add(query), 4), local.add(SCRATCH.laneValues), Address.of(count).shl(2))
}

/** Unit: a block of queries of one head of one batch. */
function emitForward(code: AttentionCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  const fn = emitAttentionFunctions(module, code)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = attentionBlock.read(f, args)
      const exp = negativeExponential(f)
      const dropout = code.dropout ? dropoutBlocks(f, p) : null
      f.for(start, end, 1, (unit) => {
        const batchHead = f.let(unit.remU(p.batchHeads))
        const head = headOf(f, p, f.let(batchHead.divU(p.heads)), f.let(batchHead.remU(p.heads)))
        const from = f.let(unit.divU(p.batchHeads).mul(LANE_BLOCK))
        const to = f.let(from.add(LANE_BLOCK).minS(p.queries))
        eachPiece(f, p, code.packed, { start: from, end: to, partners: p.kvLength }, (piece) =>
          f.for(piece.start, piece.end, LANES, (token) => {
            const count = f.let(piece.end.sub(token).minS(I32.const(LANES)))
            queryPanel({ f, code, fn, p, exp, dropout, local }, { ...piece, head, token, count })
          }),
        )
      })
    },
  )
  return module
}

export function lowerBlockedForward(call: AttentionCall): Dispatch[] {
  const { shape, code } = call
  const blocks = ceilDiv(shape.queries, LANE_BLOCK)
  const pairs =
    shape.batch * shape.heads * shape.queries * Math.min(shape.keys, code.packed ? 64 : shape.keys)
  return [
    {
      codeKey: codeKeyOf('attention', code),
      emit: () => emitForward(code),
      wide: code.wideSimd,
      args: attentionBlock.words({ ...call.words, batchHeads: shape.batch * shape.heads }),
      units: shape.batch * shape.heads * blocks,
      grain: 1,
      cost: pairs * (shape.depth * 0.1 + 2),
      localBytes: scratchBytes(shape.depth, 2),
    },
  ]
}
