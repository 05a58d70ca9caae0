/** What the attention kernels share: sizes and strides, the parts that are compiled in, key ranges, dropout. */
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { F32, type F32x4, type FunctionBuilder, I32 } from '../assembler.ts'
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
  /** For 256-bit vectors: see `Dispatch.wide`. */
  readonly wideSimd: boolean
}

export const attentionBlock = argumentBlock({
  q: 'address',
  k: 'address',
  v: 'address',
  mask: 'address',
  cuSeqlens: 'address',
  heads: 'i32',
  group: 'i32',
  queries: 'i32',
  keys: 'i32',
  depth: 'i32',
  segments: 'i32',
  /** Of all batches: unit number i is for number i % batchHeads, so that neighbours share cache lines of [B, T, H, D]. */
  batchHeads: 'i32',
  qBatch: 'address',
  qHead: 'address',
  qRow: 'address',
  kBatch: 'address',
  kHead: 'address',
  kRow: 'address',
  vBatch: 'address',
  vHead: 'address',
  vRow: 'address',
  maskBatch: 'address',
  maskHead: 'address',
  maskRow: 'address',
  maskColumn: 'address',
  scale: 'f32',
  kvLength: 'i32',
  p: 'f32',
  key0: 'i32',
  key1: 'i32',
  counter0: 'i32',
  counter1: 'i32',
  // forward: o, lse; backward: dOut, o, lse, dq, dk, dv, and scratch for lse and delta
  o: 'address',
  lse: 'address',
  dOut: 'address',
  dq: 'address',
  dk: 'address',
  dv: 'address',
  rows: 'address',
  rowCount: 'i32',
  oBatch: 'address',
  oRow: 'address',
  oHead: 'address',
  dOutBatch: 'address',
  dOutRow: 'address',
  dOutHead: 'address',
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
  `${name}.${c.mask}.${c.packed}.${c.causal}.${c.dropout}.${c.relaxedSimd}.${c.wideSimd}`

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
      wideSimd: ctx.features.wideSimd,
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

/** Queries and keys of a segment that one unit takes whole; longer ones go through blocks, which more threads can share. */
export const SHORT = 128

/** Whether a segment of so many tokens, from its entries in `cuSeqlens`, is short. */
export const isShort = (length: I32): I32 => length.leS(SHORT)

/**
 * Splits the tokens from `start` to `end` into pieces that share their range of partners: with packed sequences the
 * segment of each, otherwise 0 to `partners`. Tokens outside every segment get an empty range; short segments are left out.
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
  const s = f.let(I32.const(0))
  f.while(at.ltS(end), () => {
    const pieceEnd = f.let(end)
    const first = f.let(I32.const(0))
    const last = f.let(I32.const(0))
    const isMine = f.let(I32.const(1))
    f.block((found) =>
      f.forFrom(s, p.segments, 1, () => {
        const from = f.let(p.cuSeqlens.at(s, 4).load(0))
        const to = f.let(p.cuSeqlens.at(s, 4).load(4))
        f.if(to.gtS(at), () => {
          f.if(
            from.leS(at),
            () => {
              first.set(from)
              last.set(to.minS(partners))
              pieceEnd.set(to.minS(end))
              isMine.set(isShort(to.sub(from)).eqz())
            },
            () => pieceEnd.set(from.minS(end)),
          )
          f.br(found)
        })
      }),
    )
    f.if(isMine, () => body({ start: at, end: pieceEnd, first, last }))
    at.set(pieceEnd)
  })
}

export interface DropoutRange {
  /** Number of the query row among those of all batches and heads. */
  readonly row: I32
  /** Keys `column` to `column + count`. */
  readonly column: I32
  readonly count: I32
}

/**
 * Walks through the blocks of 16 elements of the random stream that cover a range: `begin` gets how many elements of the
 * first block lie before the range, `use` what dropout multiplies a block's probabilities with: 0 or 1 / (1 - p).
 */
export type DropoutBlocks = (
  range: DropoutRange,
  begin: (lead: I32) => void,
  use: (factors: F32x4[]) => void,
) => void

/** Call it before the loops that use it. */
export function dropoutBlocks(f: FunctionBuilder, p: AttentionParameters): DropoutBlocks {
  const threshold = f.let(p.p.splat())
  const kept = f.let(F32.const(1).div(F32.const(1).sub(p.p)).splat().bitsToI32x4())
  const toUnit = f.let(F32.const(2 ** -24).splat())
  const stream = philoxStream(f, p)
  return ({ row, column, count }, begin, use) => {
    const low = f.let(row.mul(p.keys).add(column))
    const high = row.mulHighU(p.keys).add(low.ltU(column))
    const block = f.let(low.shrU(4).or(high.shl(28)))
    const lead = f.let(low.and(15))
    begin(lead)
    f.for(0, count.add(lead), 16, () => {
      const uniform = stream(block).map((bits) => bits.shrU(8).toF32x4().mul(toUnit))
      use(uniform.map((u) => u.ge(threshold).and(kept).bitsToF32x4()))
      block.set(block.add(1))
    })
  }
}
