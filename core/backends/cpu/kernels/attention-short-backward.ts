/**
 * The gradient of attention over short segments: a unit that owns a segment of one key head computes its dq, dk and dv, from
 * probabilities and random bits that are computed once. With P = exp(S - lse), K the dropout factors and
 * delta = sum(dOut * o) of each query: dS = P (K dOut v^T - delta), dq = dS k, dk = dS^T q, dv = (K P)^T dOut.
 */
import { Address, type FunctionBuilder, I32, type ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import {
  type AttentionCall,
  type AttentionCode,
  type AttentionParameters,
  SHORT,
} from './attention-arguments.ts'
import { HALVES, type Head, headOf, storeHalves } from './attention-blocks.ts'
import { probabilities, queryValues, storeQueryValues, tokenOffset } from './attention-gradient.ts'
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
import { RowLoops } from './row-loops.ts'

interface BackwardContext extends ShortContext {
  readonly rows: RowLoops
}

/** Turns the scores into weights (K P) and the gradients of weights into those of scores, for some queries of a head. */
function scoreGradients(c: BackwardContext, s: Segment, head: Head, query: I32, count: I32): void {
  const { f, p, code, local } = c
  const scale = f.let(p.scale.splat())
  const row = f.let(local)
  f.for(0, count, 1, (i) => {
    const token = f.let(query.add(i))
    const values = queryValues(f, p, c.rows, head, token)
    const lse = f.let(values.lse.splat())
    const delta = f.let(values.delta.splat())
    const mask = code.mask ? maskRow(c, s, head, token) : null
    const last = code.causal ? f.let(lastSeen(c, s, token)) : null
    const at = f.let(row)
    f.for(0, s.keys, LANES, (j) => {
      const results = HALVES.map((half) => {
        const { weight, gradient } = probabilities(c, {
          score: at.loadF32x4(SHORT_SCRATCH.scores + 16 * half),
          gradient: at.loadF32x4(SHORT_SCRATCH.gradients + 16 * half),
          keep: at.loadF32x4(SHORT_SCRATCH.keep + 16 * half),
          lse,
          delta,
          scale,
          mask: mask && maskAt(c, s, mask, j, half),
          unseen: last && unseenLanes(j, last, half),
        })
        return { weight: f.let(weight), gradient: f.let(gradient) }
      })
      storeHalves(f, at, SHORT_SCRATCH.scores, (half) => results[half].weight)
      storeHalves(f, at, SHORT_SCRATCH.gradients, (half) => results[half].gradient)
      at.set(at.add(LANES * 4))
    })
    row.set(row.add(s.rowBytes))
  })
}

/** Where the rows of dk and dv from key `key` of a key head on lie, in bytes from the first: contiguous [B, T, H, D]. */
function keyOffset(f: FunctionBuilder, p: AttentionParameters, batch: I32, kvHead: I32, key: I32) {
  const kvHeads = f.let(p.heads.divU(p.group))
  const rowBytes = f.let(Address.of(kvHeads.mul(p.depth)).shl(2))
  const offset = f.let(Address.of(batch.mul(p.keys).add(key)).mul(rowBytes).at(kvHead.mul(p.depth), 4))
  return { offset, rowBytes }
}

function segment(c: BackwardContext, batch: I32, kvHead: I32, s: Segment): void {
  const { f, code, fn, p, local } = c
  const scores = f.let(local.add(SHORT_SCRATCH.scores))
  const gradients = f.let(local.add(SHORT_SCRATCH.gradients))
  const zeros = f.let(local.add(SHORT_SCRATCH.zeros))
  const rowOfZeros = f.let(Address.of(p.depth).shl(2))
  f.memoryFill(zeros, 0, rowOfZeros)
  const none = [zeros, Address.const(0)]
  const kPanels = f.let(zeros.add(rowOfZeros))
  const vPanels = f.let(kPanels.add(rowOfZeros.mul(SHORT + LANES)))
  const { offset, rowBytes } = keyOffset(f, p, batch, kvHead, s.key)
  const dk = f.let(p.dk.add(offset))
  const dv = f.let(p.dv.add(offset))
  const queryBytes = f.let(Address.of(p.heads.mul(p.depth)).shl(2))
  /** Sums begin with zeros, and go on from what is there. */
  const hasSums = f.let(I32.const(0))

  f.for(0, p.group, 1, (member) => {
    const head = headOf(f, p, batch, f.let(kvHead.mul(p.group).add(member)))
    const k = f.let(head.k.at(s.key, p.kRow))
    f.if(member.eqz(), () => {
      packKeys(c, s, k, p.kRow, kPanels)
      packKeys(c, s, head.v.at(s.key, p.vRow), p.vRow, vPanels)
    })
    f.for(0, s.queries, QUERY_BLOCK, (done) => {
      const query = f.let(s.query.add(done))
      const count = f.let(s.queries.sub(done).minS(I32.const(QUERY_BLOCK)))
      const q = f.let(head.q.at(query, p.qRow))
      const dOut = f.let(head.dOut.at(query, p.dOutRow))
      scoresOf(c, s, { rows: q, rowStride: p.qRow, count, panels: kPanels, to: scores })
      scoresOf(c, s, { rows: dOut, rowStride: p.dOutRow, count, panels: vPanels, to: gradients })
      fillKeep(c, s, f.let(head.row.add(query)), count)
      scoreGradients(c, s, head, query, count)

      const dq = [p.dq.add(tokenOffset(p, head, p.queries, query)), queryBytes]
      f.call(fn.product.plain, gradients, s.rowBytes, k, p.kRow, s.keys, ...none, ...dq, count, p.depth)
      const addTo = (sums: Address, weights: Address, rows: Address, rowStride: Address) => {
        const from = [hasSums.select<Address>(sums, zeros), hasSums.select(rowBytes, Address.const(0))]
        const operands = [weights, s.rowBytes, rows, rowStride, count]
        f.call(fn.product.transposed, ...operands, ...from, sums, rowBytes, s.keys, p.depth)
      }
      addTo(dk, gradients, q, p.qRow)
      addTo(dv, scores, dOut, p.dOutRow)
      hasSums.set(1)
    })
  })

  const clear = (sums: Address, keys: I32) => {
    const operands = [scores, s.rowBytes, zeros, Address.const(0), I32.const(0)]
    f.call(fn.product.transposed, ...operands, ...none, sums, rowBytes, keys, p.depth)
  }
  f.if(hasSums.eqz(), () => {
    clear(dk, s.keys)
    clear(dv, s.keys)
  })
  // keys that are not filled; with packed sequences blocks see to them
  if (!code.packed)
    f.if(p.keys.gtS(s.keys), () => {
      const filled = f.let(Address.of(s.keys).mul(rowBytes))
      clear(dk.add(filled), f.let(p.keys.sub(s.keys)))
      clear(dv.add(filled), f.let(p.keys.sub(s.keys)))
    })
}

/** Of a long segment, what its blocks need of the queries (`rows` of the call's scratch). */
function longSegment(c: BackwardContext, batch: I32, kvHead: I32, s: Omit<Segment, 'rowBytes'>): void {
  const { f, p, rows } = c
  const first = f.let(kvHead.mul(p.group))
  f.for(0, p.group, 1, (member) => {
    const head = headOf(f, p, batch, f.let(first.add(member)))
    f.for(s.query, s.query.add(s.queries), 1, (query) => storeQueryValues(f, p, rows, head, query))
  })
}

const emitShortBackward = (code: AttentionCode): ModuleBuilder =>
  emitSegments(code, (module) => {
    const rows = new RowLoops(module)
    return {
      short: (c, ...rest) => segment({ ...c, rows }, ...rest),
      other: (c, ...rest) => longSegment({ ...c, rows }, ...rest),
    }
  })

export const lowerShortBackward = (call: AttentionCall): Dispatch =>
  segmentsDispatch(call, {
    name: 'attentionBackward.short',
    emit: emitShortBackward,
    pairCost: call.shape.depth * 0.25 + 3,
    matrices: 2,
  })
