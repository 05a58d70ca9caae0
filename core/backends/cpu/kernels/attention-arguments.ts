/** What the attention kernels share: sizes and strides, the parts that are compiled in, key ranges, dropout. */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { F32, type FunctionBuilder, type FunctionHandle, I32, type ModuleBuilder } from '../assembler.ts'
import { type ArgWord, type LowerContext, scalarSlot } from '../dispatch.ts'
import { argumentBlock, operandAddress } from './arguments.ts'
import { philoxStream } from './philox.ts'

/** Parts that are compiled in or left out. */
export interface AttentionCode {
  readonly mask: boolean
  readonly packed: boolean
  readonly causal: boolean
  readonly dropout: boolean
  readonly relaxedSimd: boolean
}

export const attentionBlock = argumentBlock({
  q: 'i32',
  k: 'i32',
  v: 'i32',
  mask: 'i32',
  cuSeqlens: 'i32',
  heads: 'i32',
  group: 'i32',
  queries: 'i32',
  keys: 'i32',
  depth: 'i32',
  segments: 'i32',
  /** Of all batches: unit number i is for number i % batchHeads, so that neighbours share cache lines of [B, T, H, D]. */
  batchHeads: 'i32',
  qBatch: 'i32',
  qHead: 'i32',
  qRow: 'i32',
  kBatch: 'i32',
  kHead: 'i32',
  kRow: 'i32',
  vBatch: 'i32',
  vHead: 'i32',
  vRow: 'i32',
  maskBatch: 'i32',
  maskHead: 'i32',
  maskRow: 'i32',
  maskColumn: 'i32',
  scale: 'f32',
  kvLength: 'i32',
  p: 'f32',
  key0: 'i32',
  key1: 'i32',
  counter0: 'i32',
  counter1: 'i32',
  // forward: o, lse; backward: dOut, o, lse, dq, dk, dv, and scratch for lse and delta
  o: 'i32',
  lse: 'i32',
  dOut: 'i32',
  dq: 'i32',
  dk: 'i32',
  dv: 'i32',
  rows: 'i32',
  rowCount: 'i32',
  oBatch: 'i32',
  oRow: 'i32',
  oHead: 'i32',
  dOutBatch: 'i32',
  dOutRow: 'i32',
  dOutHead: 'i32',
})
export type AttentionParameters = ReturnType<typeof attentionBlock.read>

/** Sizes of one call. */
export interface AttentionShape {
  readonly batch: number
  readonly heads: number
  readonly kvHeads: number
  readonly queries: number
  readonly keys: number
  readonly depth: number
}

export interface AttentionCall {
  readonly shape: AttentionShape
  readonly code: AttentionCode
  /** All fields of the block but those of a single dispatch. */
  readonly words: Omit<Parameters<typeof attentionBlock.words>[0], 'batchHeads'>
}

export const codeKeyOf = (name: string, c: AttentionCode): string =>
  `${name}.${c.mask}.${c.packed}.${c.causal}.${c.dropout}.${c.relaxedSimd}`

interface AttentionTensors {
  readonly q: CallOperand
  readonly k: CallOperand
  readonly v: CallOperand
  readonly optional: readonly CallOperand[]
  readonly o: CallOperand
  readonly lse: CallOperand
  readonly dOut?: CallOperand
  readonly gradients?: readonly CallOperand[]
  /** Scratch of the backward pass: two floats a query. */
  readonly rows?: ArgWord
}

export function attentionCall(kernel: CallKernel, ctx: LowerContext, t: AttentionTensors): AttentionCall {
  const { attrs } = kernel
  const optional = [...t.optional]
  const mask = attrs.mask ? optional.shift()! : null
  const cuSeqlens = attrs.packed ? optional.shift()! : null
  const bytes = (o: CallOperand) => o.strides.map((s) => s * 4)
  const [qBatch, qHead, qRow] = bytes(t.q)
  const [kBatch, kHead, kRow] = bytes(t.k)
  const [vBatch, vHead, vRow] = bytes(t.v)
  const [maskBatch, maskHead, maskRow, maskColumn] = mask ? bytes(mask) : [0, 0, 0, 0]
  const [oBatch, oRow, oHead] = bytes(t.o)
  const [dOutBatch, dOutRow, dOutHead] = t.dOut ? bytes(t.dOut) : [0, 0, 0]
  const [batch, heads, queries, depth] = t.q.shape
  const [, kvHeads, keys] = t.k.shape
  const types = ['f32', 'i32', 'f32', 'i32', 'i32', 'i32', 'i32'] as const
  const [scale, kvLength, p, key0, key1, counter0, counter1] = types.map((type, i): ArgWord | number =>
    kernel.scalars[i] ? scalarSlot(kernel.scalars[i].slot, type) : 0,
  )
  const [dq, dk, dv] = (t.gradients ?? []).map(operandAddress)
  return {
    shape: { batch, heads, kvHeads, queries, keys, depth },
    code: {
      mask: mask !== null,
      packed: cuSeqlens !== null,
      causal: attrs.causal === true,
      dropout: attrs.dropout === true,
      relaxedSimd: ctx.features.relaxedSimd,
    },
    words: {
      q: operandAddress(t.q),
      k: operandAddress(t.k),
      v: operandAddress(t.v),
      mask: mask ? operandAddress(mask) : 0,
      cuSeqlens: cuSeqlens ? operandAddress(cuSeqlens) : 0,
      heads,
      group: heads / kvHeads,
      queries,
      keys,
      depth,
      segments: cuSeqlens ? cuSeqlens.shape[0] - 1 : 0,
      qBatch,
      qHead,
      qRow,
      kBatch,
      kHead,
      kRow,
      vBatch,
      vHead,
      vRow,
      maskBatch,
      maskHead,
      maskRow,
      maskColumn,
      scale,
      kvLength,
      p,
      key0,
      key1,
      counter0,
      counter1,
      o: operandAddress(t.o),
      lse: operandAddress(t.lse),
      dOut: t.dOut ? operandAddress(t.dOut) : 0,
      dq: dq ?? 0,
      dk: dk ?? 0,
      dv: dv ?? 0,
      rows: t.rows ?? 0,
      rowCount: batch * heads * queries,
      oBatch,
      oRow,
      oHead,
      dOutBatch,
      dOutRow,
      dOutHead,
    },
  }
}

/**
 * Splits the tokens from `start` to `end` into pieces that share their range of partners: with packed sequences the
 * segment of each, otherwise 0 to `partners`. Tokens outside every segment get an empty range.
 */
export function eachPiece(
  f: FunctionBuilder,
  p: AttentionParameters,
  packed: boolean,
  range: { start: I32; end: I32; partners: I32 },
  body: (piece: { start: I32; end: I32; first: I32; last: I32 }) => void,
): void {
  const { start, end, partners } = range
  if (!packed) {
    f.if(start.ltS(end), () => body({ start, end, first: f.let(I32.const(0)), last: partners }))
    return
  }
  const at = f.let(start)
  f.while(at.ltS(end), () => {
    const pieceEnd = f.let(end)
    const first = f.let(I32.const(0))
    const last = f.let(I32.const(0))
    f.block((found) =>
      f.for(0, p.segments, 1, (s) => {
        const from = f.let(p.cuSeqlens.add(s.shl(2)).load(0))
        const to = f.let(p.cuSeqlens.add(s.shl(2)).load(4))
        f.if(to.gtS(at), () => {
          f.if(
            from.leS(at),
            () => {
              first.set(from)
              last.set(to.minS(partners))
              pieceEnd.set(to.minS(end))
            },
            () => pieceEnd.set(from.minS(end)),
          )
          f.br(found)
        })
      }),
    )
    body({ start: at, end: pieceEnd, first, last })
    at.set(pieceEnd)
  })
}

/** Elements that a block of random bits may reach beyond what was asked for, on either side. */
export const DROPOUT_MARGIN = 16 * 4

/**
 * `fill(args, row, column, count, to)`: what dropout multiplies the probabilities of query row number `row` (of all batches and
 * heads) and keys `column` to `column + count` with, as floats at `to`: 0 or 1 / (1 - p). Writes up to 15 floats on both
 * sides.
 */
export function emitDropoutRow(module: ModuleBuilder): FunctionHandle {
  const parameters = { args: I32, row: I32, column: I32, count: I32, to: I32 }
  return module.function(null, parameters, (f, { args, row, column, count, to }) => {
    const p = attentionBlock.read(f, args)
    const low = f.let(row.mul(p.keys).add(column))
    const high = f.let(row.mulHighU(p.keys).add(low.ltU(column)))
    const block = f.let(low.shrU(4).or(high.shl(28)))
    const lead = f.let(low.and(15))
    const target = f.let(to.sub(lead.shl(2)))
    const threshold = f.let(p.p.splat())
    const factor = f.let(F32.const(1).div(F32.const(1).sub(p.p)).splat())
    const unit = f.let(F32.const(2 ** -24).splat())
    const stream = philoxStream(f, p)
    f.for(0, count.add(lead), 16, () => {
      stream(block).forEach((bits, w) => {
        const uniform = bits.shrU(8).toF32x4().mul(unit)
        f.storeVector(target, uniform.ge(threshold).and(factor.bitsToI32x4()), 16 * w)
      })
      target.set(target.add(64))
      block.set(block.add(1))
    })
  })
}
