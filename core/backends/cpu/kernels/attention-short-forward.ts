/** Attention of short segments: a unit computes a segment of one key head, for all query heads that share it. */
import { Address, F32x4, I32, type ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import type { AttentionCall, AttentionCode } from './attention-arguments.ts'
import { type Head, headOf, type Pair, storeHalves } from './attention-blocks.ts'
import {
  emitSegments,
  fillKeep,
  lastSeen,
  maskAt,
  maskRow,
  packKeys,
  QUERY_BLOCK,
  type Segment,
  SHORT_SCRATCH,
  type ShortContext,
  scoresOf,
  segmentsDispatch,
  unseenLanes,
} from './attention-short.ts'
import { LANES } from './attention-tiles.ts'
import { transpose4 } from './elements.ts'
import { logVector } from './vector-functions.ts'

const minusInfinity = F32x4.const(Number.NEGATIVE_INFINITY)
const zero = F32x4.const(0)

/** Calls `body` for every row of scores, with its number and its address from `local` on. */
function eachRow(c: ShortContext, s: Segment, count: I32, body: (i: I32, row: Address) => void): void {
  const { f, local } = c
  const row = f.let(local)
  f.for(0, count, 1, (i) => {
    body(i, row)
    row.set(row.add(s.rowBytes))
  })
}

/** Calls `body` with what is left of the row vectors of four queries at a time, at `at` + their number's bytes. */
function eachFour(
  { f, local }: ShortContext,
  count: I32,
  join: (a: F32x4, b: F32x4) => F32x4,
  body: (joined: F32x4, at: Address) => void,
): void {
  f.for(0, count, 4, (i) => {
    const from = f.let(local.at(i, 16))
    const rows = [0, 1, 2, 3].map((r) => from.loadF32x4(SHORT_SCRATCH.rowVectors + 16 * r))
    const [a, b, d, e] = transpose4(f, rows as [F32x4, F32x4, F32x4, F32x4])
    body(f.let(join(join(a, d), join(b, e))), f.let(local.at(i, 4)))
  })
}

/** Scales the scores, adds the mask, hides what is not seen, and leaves the maximum of every row in `lse`. */
function finishScores(c: ShortContext, s: Segment, head: Head, query: I32, count: I32): void {
  const { f, p, code, local } = c
  const scale = f.let(p.scale.splat())
  const hidden = f.let(minusInfinity)
  const last = f.local(I32)
  eachRow(c, s, count, (i, row) => {
    const mask = code.mask ? maskRow(c, s, head, f.let(query.add(i))) : null
    last.set(lastSeen(c, s, query.add(i)))
    const max: Pair = [f.let(minusInfinity), f.let(minusInfinity)]
    const at = f.let(row)
    f.for(0, s.keys, LANES, (j) => {
      storeHalves(f, at, SHORT_SCRATCH.scores, (half) => {
        const score = f.let(at.loadF32x4(SHORT_SCRATCH.scores + 16 * half).mul(scale))
        if (mask) score.set(score.add(maskAt(c, s, mask, j, half)))
        score.set(unseenLanes(j, last, half).select<F32x4>(hidden, score))
        max[half].set(max[half].pmax(score))
        return score
      })
      at.set(at.add(LANES * 4))
    })
    f.storeVector(local.at(i, 16), max[0].pmax(max[1]), SHORT_SCRATCH.rowVectors)
  })
  eachFour(
    c,
    count,
    (a, b) => a.pmax(b),
    (max, at) => f.storeVector(at, max, SHORT_SCRATCH.lse),
  )
}

/** Makes weights of the scores: their softmax, times the dropout factors; `lse` gets the logarithm of the sums. */
function softmax(c: ShortContext, s: Segment, count: I32): void {
  const { f, code, local } = c
  eachRow(c, s, count, (i, row) => {
    const max = f.let(local.at(i, 4).loadSplatF32(SHORT_SCRATCH.lse))
    // where every score is -inf, subtract 0 instead: the terms are 0, not NaN
    const pivot = f.let(max.eq(minusInfinity).select<F32x4>(zero, max))
    const total: Pair = [f.let(zero), f.let(zero)]
    const at = f.let(row)
    f.for(0, s.keys, LANES, () => {
      storeHalves(f, at, SHORT_SCRATCH.scores, (half) => {
        const e = f.let(c.exp(at.loadF32x4(SHORT_SCRATCH.scores + 16 * half).sub(pivot)))
        total[half].set(total[half].add(e))
        return code.dropout ? e.mul(at.loadF32x4(SHORT_SCRATCH.keep + 16 * half)) : e
      })
      at.set(at.add(LANES * 4))
    })
    f.storeVector(local.at(i, 16), total[0].add(total[1]), SHORT_SCRATCH.rowVectors)
  })
  eachFour(
    c,
    count,
    (a, b) => a.add(b),
    (total, at) => {
      const lse = at.loadF32x4(SHORT_SCRATCH.lse).add(logVector(f, total))
      f.storeVector(at, lse, SHORT_SCRATCH.lse)
      // a query without keys gives 0
      f.storeVector(at, total.eq(zero).select(zero, F32x4.const(1).div(total)), SHORT_SCRATCH.rowValues)
    },
  )
  eachRow(c, s, count, (i, row) => {
    const inverse = f.let(local.at(i, 4).loadSplatF32(SHORT_SCRATCH.rowValues))
    const at = f.let(row)
    f.for(0, s.keys, LANES, () => {
      storeHalves(f, at, SHORT_SCRATCH.scores, (half) =>
        at.loadF32x4(SHORT_SCRATCH.scores + 16 * half).mul(inverse),
      )
      at.set(at.add(LANES * 4))
    })
  })
}

function segment(c: ShortContext, batch: I32, kvHead: I32, s: Segment): void {
  const { f, fn, p, local } = c
  const zeros = f.let(local.add(SHORT_SCRATCH.zeros))
  const rowOfZeros = f.let(Address.of(p.depth).shl(2))
  f.memoryFill(zeros, 0, rowOfZeros)
  const panels = f.let(zeros.add(rowOfZeros))
  f.for(0, p.group, 1, (member) => {
    const head = headOf(f, p, batch, f.let(kvHead.mul(p.group).add(member)))
    f.if(member.eqz(), () => packKeys(c, s, head.k.at(s.key, p.kRow), p.kRow, panels))
    f.for(0, s.queries, QUERY_BLOCK, (done) => {
      const query = f.let(s.query.add(done))
      const count = f.let(s.queries.sub(done).minS(I32.const(QUERY_BLOCK)))
      const rows = f.let(head.q.at(query, p.qRow))
      const row = f.let(head.row.add(query))
      scoresOf(c, s, { rows, rowStride: p.qRow, count, panels, to: local })
      fillKeep(c, s, row, count)
      finishScores(c, s, head, query, count)
      softmax(c, s, count)
      const from = [zeros, Address.const(0)]
      const values = [head.v.at(s.key, p.vRow), p.vRow]
      const to = [head.o.at(query, p.oRow), p.oRow]
      f.call(fn.product.plain, local, s.rowBytes, ...values, s.keys, ...from, ...to, count, p.depth)
      f.memoryCopy(p.lse.at(row, 4), local.add(SHORT_SCRATCH.lse), Address.of(count).shl(2))
    })
  })
}

const emitShortForward = (code: AttentionCode): ModuleBuilder =>
  emitSegments(code, () => ({ short: segment }))

export const lowerShortForward = (call: AttentionCall): Dispatch =>
  segmentsDispatch(call, {
    name: 'attention.short',
    emit: emitShortForward,
    pairCost: call.shape.depth * 0.1 + 2,
    matrices: 1,
  })
