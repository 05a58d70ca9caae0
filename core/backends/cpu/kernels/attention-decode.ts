/**
 * Attention of a few queries over many keys, as in generation with a cache: lanes run along keys and depth, not along
 * queries, and all scores of a query fit thread-local scratch.
 */
import { Address, F32x4, type FunctionBuilder, I32, I32x4, ModuleBuilder } from '../assembler.ts'
import type { Dispatch } from '../dispatch.ts'
import { grainOf } from './arguments.ts'
import {
  type AttentionCall,
  type AttentionCode,
  type AttentionParameters,
  attentionBlock,
  codeKeyOf,
} from './attention-arguments.ts'
import { type Head, headOf } from './attention-blocks.ts'
import { sumLanesOfFour } from './elements.ts'
import { negativeExponential } from './exp-negative.ts'
import { logVector } from './vector-functions.ts'

/** Blocked attention computes eight queries at a time, whether they exist or not. */
const LARGEST_QUERIES = 3
const minusInfinity = F32x4.const(Number.NEGATIVE_INFINITY)
const zero = F32x4.const(0)

export const isDecode = ({ shape, code }: AttentionCall): boolean =>
  shape.queries <= LARGEST_QUERIES && shape.depth % 4 === 0 && !code.packed && !code.dropout

interface Query {
  readonly head: Head
  readonly query: I32
  readonly q: Address
  readonly keys: I32
  readonly scores: Address
}

/** Writes the scores of all keys, four at a time (lanes beyond the last are -inf), and gives their maximum. */
function scoresOf(f: FunctionBuilder, code: AttentionCode, p: AttentionParameters, at: Query): F32x4 {
  const max = f.let(minusInfinity)
  const scale = f.let(p.scale.splat())
  const hidden = f.let(minusInfinity)
  const lanes = f.let(I32x4.const(0, 1, 2, 3))
  const row = f.let(at.head.k)
  const to = f.let(at.scores)
  const mask = f.let(at.head.mask.at(at.query, p.maskRow))
  f.for(0, at.keys, 4, (key) => {
    const left = f.let(at.keys.sub(key))
    const rows = [f.let<Address>(row)]
    // keys that do not exist repeat the last one
    for (let j = 1; j < 4; j++)
      rows.push(f.let(left.gtS(j).select<Address>(rows[j - 1].add(p.kRow), rows[j - 1])))
    row.set(rows[3].add(p.kRow))
    const sums = rows.map(() => f.let(zero))
    const q = f.let(at.q)
    f.for(0, p.depth, 4, () => {
      const four = f.let(q.loadF32x4())
      rows.forEach((pointer, j) => {
        sums[j].set(f.madd(four, pointer.loadF32x4(), sums[j]))
        pointer.set(pointer.add(16))
      })
      q.set(q.add(16))
    })
    const score = f.let(sumLanesOfFour(f, [sums[0], sums[1], sums[2], sums[3]]).mul(scale))
    if (code.mask) {
      const values = f.let(mask.loadSplatF32())
      for (let j = 1; j < 4; j++) {
        mask.set(left.gtS(j).select<Address>(mask.add(p.maskColumn), mask))
        values.set(values.withLane(j, mask.loadF32()))
      }
      mask.set(mask.add(p.maskColumn))
      score.set(score.add(values))
    }
    score.set(lanes.ltS(left.splat()).select<F32x4>(score, hidden))
    f.storeVector(to, score)
    max.set(max.pmax(score))
    to.set(to.add(16))
  })
  max.set(max.pmax(max.shuffle(max, [2, 3, 0, 1])))
  max.set(max.pmax(max.shuffle(max, [1, 0, 3, 2])))
  return max
}

/** `vectors` times four columns of the result: the weighted rows of v. */
function weightedRows(
  f: FunctionBuilder,
  p: AttentionParameters,
  vectors: number,
  at: Query,
  v: Address,
  o: Address,
  inverse: F32x4,
) {
  const sums = Array.from({ length: vectors }, () => f.let(zero))
  const row = f.let(v)
  const weight = f.let(at.scores)
  f.for(0, at.keys, 1, () => {
    const w = f.let(weight.loadSplatF32())
    sums.forEach((sum, i) => {
      sum.set(f.madd(w, row.loadF32x4(16 * i), sum))
    })
    row.set(row.add(p.vRow))
    weight.set(weight.add(4))
  })
  sums.forEach((sum, i) => {
    f.storeVector(o, sum.mul(inverse), 16 * i)
  })
}

/** Unit: one query of one head of one batch. */
function emitDecode(code: AttentionCode): ModuleBuilder {
  const module = new ModuleBuilder(code)
  module.function(
    'run',
    { args: Address, start: I32, end: I32, local: Address },
    (f, { args, start, end, local }) => {
      const p = attentionBlock.read(f, args)
      const exp = negativeExponential(f)
      f.for(start, end, 1, (unit) => {
        const batchHead = f.let(unit.divU(p.queries))
        const query = f.let(unit.remU(p.queries))
        const head = headOf(f, p, f.let(batchHead.divU(p.heads)), f.let(batchHead.remU(p.heads)))
        // the last key that query i sees is i + kvLength - queries
        const seen = code.causal ? query.add(p.kvLength).sub(p.queries).add(1) : p.kvLength
        const keys = f.let(f.let(seen).maxS(I32.const(0)))
        const at = { head, query, q: head.q.at(query, p.qRow), keys, scores: local }
        const max = scoresOf(f, code, p, at)
        const pivot = f.let(max.eq(minusInfinity).select<F32x4>(zero, max))
        const sum = f.let(zero)
        f.for(0, keys, 4, (key) => {
          const score = f.let(local.at(key, 4))
          const e = f.let(exp(score.loadF32x4().sub(pivot)))
          f.storeVector(score, e)
          sum.set(sum.add(e))
        })
        sum.set(sum.add(sum.shuffle(sum, [2, 3, 0, 1])))
        sum.set(sum.add(sum.shuffle(sum, [1, 0, 3, 2])))
        const inverse = f.let(sum.eq(zero).select(zero, F32x4.const(1).div(sum)))
        const v = f.let(head.v)
        const o = f.let(head.o.at(query, p.oRow))
        const column = f.let(I32.const(0))
        for (const vectors of [8, 1])
          f.forFrom(column, p.depth.sub(4 * vectors - 1), 4 * vectors, () => {
            weightedRows(f, p, vectors, at, v, o, inverse)
            v.set(v.add(16 * vectors))
            o.set(o.add(16 * vectors))
          })
        const lse = max.add(logVector(f, sum)).lane(0)
        f.storeF32(p.lse.at(head.row.add(query), 4), lse)
      })
    },
  )
  return module
}

export function lowerDecode(call: AttentionCall): Dispatch {
  const { shape, code } = call
  const units = shape.batch * shape.heads * shape.queries
  const unitCost = shape.keys * (shape.depth * 0.15 + 2) + 100
  return {
    codeKey: codeKeyOf('attention.decode', code),
    emit: () => emitDecode(code),
    args: attentionBlock.words({ ...call.words, batchHeads: 0 }),
    units,
    grain: grainOf(units, unitCost),
    cost: units * unitCost,
    localBytes: Math.ceil(shape.keys / 4) * 16 + 16,
  }
}
