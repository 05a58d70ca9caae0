/**
 * The gradient of attention, from the probabilities computed again in blocks: with P = exp(S - lse), K the dropout factors and
 * delta = sum(dOut * o) of each query, dS = P (K dOut v^T - delta). One pass with queries across the lanes gives dq, one with
 * keys across the lanes gives dk and dv: every sum has one owner and a fixed order.
 */
import { Address, I32, I32x4, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { ceilDiv, grainOf } from './arguments.ts'
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
  fillKeepByQuery,
  HALVES,
  headOf,
  LANE_BLOCK,
  type LanePanel,
  loadMask,
  ROW_BLOCK,
  SCRATCH,
  scratchBytes,
  storeHalves,
  visibleKeys,
} from './attention-blocks.ts'
import { deltaOffset, probabilities, storeQueryValues, tokenOffset } from './attention-gradient.ts'
import { LANES, ROW_BYTES } from './attention-tiles.ts'
import { negativeExponential } from './exp-negative.ts'
import { RowLoops } from './row-loops.ts'

/** Unit: one query row. */
function emitRows(): ModuleBuilder {
  const module = new ModuleBuilder()
  const rows = new RowLoops(module)
  module.function('run', { args: Address, start: I32, end: I32 }, (f, { args, start, end }) => {
    const p = attentionBlock.read(f, args)
    f.for(start, end, 1, (row) => {
      const query = f.let(row.remU(p.queries))
      const batchHead = f.let(row.divU(p.queries))
      const head = headOf(f, p, f.let(batchHead.divU(p.heads)), f.let(batchHead.remU(p.heads)))
      storeQueryValues(f, p, rows, head, query)
    })
  })
  return module
}

/** dq of one panel of queries. */
function queryPanel(c: AttentionContext, panel: LanePanel): void {
  const { head, token: query, count, first } = panel
  const { f, code, fn, p, local } = c
  const panelBytes = f.let(Address.of(p.depth).mul(ROW_BYTES))
  const q = f.let(local.add(SCRATCH.panels))
  const dOut = f.let(q.add(panelBytes))
  const dq = f.let(dOut.add(panelBytes))
  f.call(fn.pack, q, head.q.at(query, p.qRow), p.qRow, Address.const(4), count, p.depth)
  f.call(fn.pack, dOut, head.dOut.at(query, p.dOutRow), p.dOutRow, Address.const(4), count, p.depth)
  f.memoryFill(dq, 0, panelBytes)
  const rowAt = f.let(p.rows.at(head.row.add(query), 4))
  const lanes = (from: Address) => {
    f.memoryCopy(local.add(SCRATCH.laneValues), from, Address.of(count).shl(2))
    return HALVES.map((half) => f.let(local.loadF32x4(SCRATCH.laneValues + 16 * half)))
  }
  const lse = lanes(rowAt)
  const delta = lanes(rowAt.add(deltaOffset(p)))
  const scale = f.let(p.scale.splat())
  const { last, limits } = visibleKeys(c, panel)

  f.for(first, last, ROW_BLOCK, (key) => {
    const keys = f.let(last.sub(key).minS(I32.const(ROW_BLOCK)))
    const k = f.let(head.k.at(key, p.kRow))
    const v = f.let(head.v.at(key, p.vRow))
    f.call(fn.tiles.scores, k, p.kRow, keys, p.depth, q, local.add(SCRATCH.scores), Address.const(ROW_BYTES))
    f.call(
      fn.tiles.scores,
      v,
      p.vRow,
      keys,
      p.depth,
      dOut,
      local.add(SCRATCH.gradients),
      Address.const(ROW_BYTES),
    )
    fillKeepByKey(c, { row: head.row.add(query), queries: count, key, keys })
    const mask = f.let(head.mask.at(query, p.maskRow).at(key, p.maskColumn))
    const at = f.let(local)
    f.for(0, keys, 1, (j) => {
      storeHalves(f, at, SCRATCH.scores, (half) => {
        const { gradient } = probabilities(c, {
          score: at.loadF32x4(SCRATCH.scores + 16 * half),
          gradient: at.loadF32x4(SCRATCH.gradients + 16 * half),
          keep: at.loadF32x4(SCRATCH.keep + 16 * half),
          lse: lse[half],
          delta: delta[half],
          scale,
          mask: code.mask ? loadMask(f, mask, p.maskRow, half, count) : null,
          unseen: code.causal ? key.add(j).splat().gtS(limits[half]) : null,
        })
        return gradient
      })
      at.set(at.add(ROW_BYTES))
      if (code.mask) mask.set(mask.add(p.maskColumn))
    })
    f.call(fn.tiles.accumulate, k, p.kRow, keys, p.depth, local.add(SCRATCH.scores), dq)
  })
  const rowBytes = Address.of(p.heads.mul(p.depth)).shl(2)
  const to = p.dq.add(tokenOffset(p, head, p.queries, query))
  f.call(fn.store, dq, p.depth, to, rowBytes, count)
}

/** dk and dv of one panel of keys, summed over the query heads that share them. */
function keyPanel(c: AttentionContext, batch: I32, kvHead: I32, panel: Omit<LanePanel, 'head'>): void {
  const { f, code, fn, p, local } = c
  const { token: key, count, first: start, last } = panel
  const panelBytes = f.let(Address.of(p.depth).mul(ROW_BYTES))
  const k = f.let(local.add(SCRATCH.panels))
  const v = f.let(k.add(panelBytes))
  const dk = f.let(v.add(panelBytes))
  const dv = f.let(dk.add(panelBytes))
  f.memoryFill(dk, 0, panelBytes.shl(1))
  const scale = f.let(p.scale.splat())
  const keyLanes = [I32x4.const(0, 1, 2, 3), I32x4.const(4, 5, 6, 7)].map((l) => f.let(l.add(key.splat())))
  // query i sees keys up to i + offset
  const offset = f.let(p.kvLength.sub(p.queries))
  const first = f.let(start)
  if (code.causal) first.set(first.maxS(f.let(key.sub(offset))))
  f.for(0, p.group, 1, (member) => {
    const head = headOf(f, p, batch, f.let(kvHead.mul(p.group).add(member)))
    f.if(member.eqz(), () => {
      f.call(fn.pack, k, head.k.at(key, p.kRow), p.kRow, Address.const(4), count, p.depth)
      f.call(fn.pack, v, head.v.at(key, p.vRow), p.vRow, Address.const(4), count, p.depth)
    })
    f.for(first, last, ROW_BLOCK, (query) => {
      const queries = f.let(last.sub(query).minS(I32.const(ROW_BLOCK)))
      const q = f.let(head.q.at(query, p.qRow))
      const dOut = f.let(head.dOut.at(query, p.dOutRow))
      f.call(
        fn.tiles.scores,
        q,
        p.qRow,
        queries,
        p.depth,
        k,
        local.add(SCRATCH.scores),
        Address.const(ROW_BYTES),
      )
      f.call(
        fn.tiles.scores,
        dOut,
        p.dOutRow,
        queries,
        p.depth,
        v,
        local.add(SCRATCH.gradients),
        Address.const(ROW_BYTES),
      )
      const row = f.let(head.row.add(query))
      fillKeepByQuery(c, { row, queries, key, keys: count })
      const mask = f.let(head.mask.at(query, p.maskRow).at(key, p.maskColumn))
      const rowAt = f.let(p.rows.at(row, 4))
      const deltaBytes = f.let(deltaOffset(p))
      const at = f.let(local)
      f.for(0, queries, 1, (i) => {
        const lse = f.let(rowAt.loadSplatF32())
        const delta = f.let(rowAt.add(deltaBytes).loadSplatF32())
        const results = HALVES.map((half) => {
          const { weight, gradient } = probabilities(c, {
            score: at.loadF32x4(SCRATCH.scores + 16 * half),
            gradient: at.loadF32x4(SCRATCH.gradients + 16 * half),
            keep: at.loadF32x4(SCRATCH.keep + 16 * half),
            lse,
            delta,
            scale,
            mask: code.mask ? loadMask(f, mask, p.maskColumn, half, count) : null,
            unseen: code.causal ? keyLanes[half].gtS(query.add(i).add(offset).splat()) : null,
          })
          return { weight: f.let(weight), gradient: f.let(gradient) }
        })
        storeHalves(f, at, SCRATCH.scores, (half) => results[half].weight)
        storeHalves(f, at, SCRATCH.gradients, (half) => results[half].gradient)
        at.set(at.add(ROW_BYTES))
        rowAt.set(rowAt.add(4))
        if (code.mask) mask.set(mask.add(p.maskRow))
      })
      f.call(fn.tiles.accumulate, dOut, p.dOutRow, queries, p.depth, local.add(SCRATCH.scores), dv)
      f.call(fn.tiles.accumulate, q, p.qRow, queries, p.depth, local.add(SCRATCH.gradients), dk)
    })
  })
  const kvHeads = f.let(p.heads.divU(p.group))
  const rowBytes = f.let(Address.of(kvHeads.mul(p.depth)).shl(2))
  const to = f.let(Address.of(batch.mul(p.keys).add(key)).mul(rowBytes).at(kvHead.mul(p.depth), 4))
  f.call(fn.store, dk, p.depth, p.dk.add(to), rowBytes, count)
  f.call(fn.store, dv, p.depth, p.dv.add(to), rowBytes, count)
}

/** Unit: a block of queries of one query head. */
function emitQueryGradients(code: AttentionCode): ModuleBuilder {
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

/** Unit: a block of keys of one key head. */
function emitKeyGradients(code: AttentionCode): ModuleBuilder {
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
        const kvHeads = f.let(p.heads.divU(p.group))
        const batchHead = f.let(unit.remU(p.batchHeads))
        const batch = f.let(batchHead.divU(kvHeads))
        const kvHead = f.let(batchHead.remU(kvHeads))
        const from = f.let(unit.divU(p.batchHeads).mul(LANE_BLOCK))
        const to = f.let(from.add(LANE_BLOCK).minS(p.keys))
        const filled = f.let(to.minS(p.kvLength))
        const context = { f, code, fn, p, exp, dropout, local }
        const panels = (piece: { start: I32; end: I32; first: I32; last: I32 }) =>
          f.for(piece.start, piece.end, LANES, (token) => {
            const count = f.let(piece.end.sub(token).minS(I32.const(LANES)))
            keyPanel(context, batch, kvHead, { ...piece, token, count })
          })
        eachPiece(f, p, code.packed, { start: from, end: filled, partners: p.queries }, panels)
        // keys that are not filled: zeros
        const none = I32.const(0)
        panels({ start: f.let(from.maxS(p.kvLength)), end: to, first: none, last: none })
      })
    },
  )
  return module
}

/** Of a packed call the long segments and what is in none, for which the `short` dispatch has left the values of queries. */
export function lowerBlockedBackward(call: AttentionCall): Dispatch[] {
  const { shape, code } = call
  const rows = shape.batch * shape.heads * shape.queries
  const pairs = rows * Math.min(shape.keys, code.packed ? 64 : shape.keys)
  const dispatch = (
    name: string,
    emit: () => ModuleBuilder,
    tokens: number,
    heads: number,
    panels: number,
  ) => {
    const blocks = ceilDiv(tokens, LANE_BLOCK)
    return {
      codeKey: codeKeyOf(name, code),
      emit,
      wide: code.wideSimd,
      args: attentionBlock.words({ ...call.words, batchHeads: shape.batch * heads }),
      units: shape.batch * heads * blocks,
      grain: 1,
      cost: pairs * shape.depth * 0.06 * panels,
      localBytes: scratchBytes(shape.depth, panels),
    }
  }
  const rowCost = shape.depth + 20
  const rowValues = {
    codeKey: 'attentionBackward.rows',
    emit: emitRows,
    args: attentionBlock.words({ ...call.words, batchHeads: 0 }),
    units: rows,
    grain: grainOf(rows, rowCost),
    cost: rows * rowCost,
  }
  return [
    ...(code.packed ? [] : [rowValues]),
    dispatch('attentionBackward.queries', () => emitQueryGradients(code), shape.queries, shape.heads, 3),
    dispatch('attentionBackward.keys', () => emitKeyGradients(code), shape.keys, shape.kvHeads, 4),
  ]
}
