/** What the kernels of attention's gradient share. */
import { Address, F32, F32x4, type FunctionBuilder, type I32, type I32x4 } from '../assembler.ts'
import type { AttentionParameters } from './attention-arguments.ts'
import type { AttentionContext, Head } from './attention-blocks.ts'
import { sumLanes } from './elements.ts'
import type { RowLoops } from './row-loops.ts'

/** In scratch of the call: lse of every query row (+inf where there is no key), then delta. */
export const backwardRowsBytes = (rows: number): number => rows * 8

/** Bytes from the lse of a row to its delta. */
export const deltaOffset = (p: AttentionParameters): Address => Address.of(p.rowCount).shl(2)

/** The lse of a query, +inf where it has no key, so that its probabilities are 0; and delta = sum over D of dOut * o. */
export function queryValues(
  f: FunctionBuilder,
  p: AttentionParameters,
  rows: RowLoops,
  head: Head,
  query: I32,
): { lse: F32; delta: F32 } {
  const sum = f.let(F32x4.const(0))
  const operands: Address[] = [head.o.at(query, p.oRow), head.dOut.at(query, p.dOutRow)]
  rows.each(f, p.depth, operands, {}, ([a, b]) => sum.set(sum.add(a.mul(b))))
  const lse = f.let(p.lse.at(head.row.add(query), 4).loadF32())
  const infinite = lse.eq(Number.NEGATIVE_INFINITY)
  return { lse: infinite.select(F32.const(Number.POSITIVE_INFINITY), lse), delta: sumLanes(f, sum) }
}

/** Keeps them in the call's scratch. */
export function storeQueryValues(
  f: FunctionBuilder,
  p: AttentionParameters,
  rows: RowLoops,
  head: Head,
  query: I32,
): void {
  const { lse, delta } = queryValues(f, p, rows, head, query)
  const at = f.let(p.rows.at(head.row.add(query), 4))
  f.storeF32(at, lse)
  f.storeF32(at.add(deltaOffset(p)), delta)
}

/** P and dS of four lanes of a row: `score` and `gradient` (dOut v) as computed, lse and delta of the query. */
export function probabilities(
  c: Pick<AttentionContext, 'f' | 'code' | 'exp'>,
  at: {
    score: F32x4
    gradient: F32x4
    keep: F32x4
    lse: F32x4
    delta: F32x4
    scale: F32x4
    mask: F32x4 | null
    unseen: I32x4 | null
  },
): { weight: F32x4; gradient: F32x4 } {
  const { f, code } = c
  const score = f.let(at.mask ? f.madd(at.score, at.scale, at.mask) : at.score.mul(at.scale))
  const seen = f.let(c.exp(score.sub(at.lse)))
  const p = at.unseen ? f.let(seen.bitsToI32x4().andNot(at.unseen).bitsToF32x4()) : seen
  const gradient = code.dropout ? at.gradient.mul(at.keep) : at.gradient
  return { weight: code.dropout ? p.mul(at.keep) : p, gradient: p.mul(gradient.sub(at.delta)).mul(at.scale) }
}

/** Bytes to token `token` of a query head in a contiguous [B, T, H, D]. */
export const tokenOffset = (p: AttentionParameters, head: Head, tokens: I32, token: I32): Address =>
  Address.of(head.batch.mul(tokens).add(token).mul(p.heads).add(head.head).mul(p.depth)).shl(2)
