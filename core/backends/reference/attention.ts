/** Scaled dot-product attention and its gradient, one query at a time. */

import { philoxStream } from '../../philox.ts'
import { numel } from '../../shape.ts'
import type { CallArguments, CallFunction, Dense } from './calls.ts'

/** What forward and backward share: sizes, and the probabilities of one query. */
class Problem {
  readonly B: number
  readonly Hq: number
  readonly Hkv: number
  readonly Tq: number
  readonly Tk: number
  readonly D: number
  readonly scale: number
  private readonly q: Dense
  private readonly k: Dense
  private readonly mask: Dense | undefined
  private readonly segments: readonly number[] | null
  private readonly causal: boolean
  private readonly kvLength: number
  private readonly dropout: { p: number; word: (element: number) => number } | null

  constructor({ attrs, scalars }: CallArguments, q: Dense, k: Dense, optional: readonly Dense[]) {
    const rest = [...optional]
    this.q = q
    this.k = k
    ;[this.B, this.Hq, this.Tq, this.D] = q.shape
    ;[, this.Hkv, this.Tk] = k.shape
    this.mask = attrs.mask ? rest.shift() : undefined
    this.segments = attrs.packed ? segmentNumbers(rest.shift()!, this.Tq) : null
    this.causal = attrs.causal === true
    const [scale, kvLength, p, key0, key1, counter0, counter1] = scalars
    this.scale = scale
    this.kvLength = kvLength
    this.dropout = attrs.dropout ? { p, word: philoxStream(key0, key1, counter0, counter1) } : null
  }

  /** Where the row of query i of head h begins in a [B, Hq, Tq, D] array. */
  query(b: number, h: number, i: number): number {
    return ((b * this.Hq + h) * this.Tq + i) * this.D
  }
  /** Where key j for the query head h begins in a [B, Hkv, Tk, D] array. */
  key(b: number, h: number, j: number): number {
    return ((b * this.Hkv + Math.floor(h / (this.Hq / this.Hkv))) * this.Tk + j) * this.D
  }
  /** Where token t of head h begins in a [B, T, H, D] array. */
  token(b: number, t: number, h: number, T: number, H: number): number {
    return ((b * T + t) * H + h) * this.D
  }

  private sees(i: number, j: number): boolean {
    if (j >= this.kvLength) return false
    if (this.causal && j > i + this.kvLength - this.Tq) return false
    return !this.segments || (this.segments[i] >= 0 && this.segments[i] === this.segments[j])
  }

  /** Scores of query i, -inf where it does not attend. */
  scores(b: number, h: number, i: number): Float64Array {
    const at = this.query(b, h, i)
    return Float64Array.from({ length: this.Tk }, (_, j) => {
      if (!this.sees(i, j)) return -Infinity
      const score = this.scale * dot(this.q.data, at, this.k.data, this.key(b, h, j), this.D)
      return this.mask ? score + this.mask.data[((b * this.Hq + h) * this.Tq + i) * this.Tk + j] : score
    })
  }

  /** What dropout multiplies the probability of (i, j) with: 0 or 1 / (1 - p), 1 without dropout. */
  keep(b: number, h: number, i: number, j: number): number {
    if (!this.dropout) return 1
    const { p, word } = this.dropout
    const uniform = (word(((b * this.Hq + h) * this.Tq + i) * this.Tk + j) >>> 8) * 2 ** -24
    return uniform >= p ? 1 / (1 - p) : 0
  }

  forEachQuery(visit: (b: number, h: number, i: number) => void): void {
    for (let b = 0; b < this.B; b++)
      for (let h = 0; h < this.Hq; h++) for (let i = 0; i < this.Tq; i++) visit(b, h, i)
  }
}

/** The segment of every token, -1 outside all of them. */
function segmentNumbers(cuSeqlens: Dense, tokens: number): number[] {
  const segments = new Array<number>(tokens).fill(-1)
  for (let s = 0; s + 1 < cuSeqlens.data.length; s++)
    segments.fill(s, cuSeqlens.data[s], cuSeqlens.data[s + 1])
  return segments
}

function dot(a: Float64Array, aAt: number, b: Float64Array, bAt: number, length: number): number {
  let sum = 0
  for (let d = 0; d < length; d++) sum += a[aAt + d] * b[bAt + d]
  return sum
}

function addScaled(
  into: Float64Array,
  at: number,
  factor: number,
  x: Float64Array,
  xAt: number,
  length: number,
) {
  for (let d = 0; d < length; d++) into[at + d] += factor * x[xAt + d]
}

export const attention: CallFunction = (call) => {
  const [q, k, v, ...optional] = call.inputs
  const s = new Problem(call, q, k, optional)
  const o = new Float64Array(numel(call.outputs[0]))
  const lse = new Float64Array(numel(call.outputs[1]))
  s.forEachQuery((b, h, i) => {
    const scores = s.scores(b, h, i)
    const largest = scores.reduce((m, x) => Math.max(m, x), -Infinity)
    const row = (b * s.Hq + h) * s.Tq + i
    if (largest === -Infinity) {
      lse[row] = -Infinity
      return
    }
    lse[row] = largest + Math.log(scores.reduce((sum, x) => sum + Math.exp(x - largest), 0))
    scores.forEach((score, j) => {
      if (score === -Infinity) return // 0 even where the value is not finite
      const p = Math.exp(score - lse[row]) * s.keep(b, h, i, j)
      addScaled(o, s.token(b, i, h, s.Tq, s.Hq), p, v.data, s.key(b, h, j), s.D)
    })
  })
  return [o, lse]
}

/** dS = P (dP - sum(do o)), with dP = keep (do v). */
export const attentionBackward: CallFunction = (call) => {
  const [dOut, q, k, v, o, lse, ...optional] = call.inputs
  const s = new Problem(call, q, k, optional)
  const [dq, dk, dv] = call.outputs.map((shape) => new Float64Array(numel(shape)))
  s.forEachQuery((b, h, i) => {
    const logSum = lse.data[(b * s.Hq + h) * s.Tq + i]
    if (logSum === -Infinity) return
    const out = s.token(b, i, h, s.Tq, s.Hq)
    const delta = dot(dOut.data, out, o.data, out, s.D)
    const kvHead = Math.floor(h / (s.Hq / s.Hkv))
    s.scores(b, h, i).forEach((score, j) => {
      if (score === -Infinity) return
      const p = Math.exp(score - logSum)
      const keep = s.keep(b, h, i, j)
      const key = s.key(b, h, j)
      const kvToken = s.token(b, j, kvHead, s.Tk, s.Hkv)
      const ds = p * (keep * dot(dOut.data, out, v.data, key, s.D) - delta) * s.scale
      addScaled(dv, kvToken, p * keep, dOut.data, out, s.D)
      addScaled(dq, out, ds, k.data, key, s.D)
      addScaled(dk, kvToken, ds, q.data, s.query(b, h, i), s.D)
    })
  })
  return [dq, dk, dv]
}
