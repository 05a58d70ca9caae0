/**
 * Adam on the rows of a table that a batch touched. The others fall behind: what the steps in between would have done to them
 * (without a gradient both moments shrink by constant factors, and the weights by their decay and a move) is a sum that is
 * made up for when a row is touched again, or all of the table when anybody reads it.
 */

import type { Expr } from '../../core/expr.ts'
import { noGrad, Tensor, tensor } from '../../core/index.ts'
import type { MapOp, UpdateOp } from '../../core/op.ts'
import { assignRows } from '../../core/ops/effects.ts'
import { updateEach } from '../../core/ops/foreach.ts'
import { takeRows } from '../../core/ops/indexing.ts'
import { expand, slice } from '../../core/ops/views.ts'
import type { Behind, State } from '../../core/state.ts'
import { apply } from '../../core/tensor.ts'

/** The numbers of one step of Adam, the same for all elements. */
export interface AdamStep {
  /** What weights are multiplied by: 1 - lr * weightDecay. */
  readonly decay: number
  readonly beta1: number
  readonly beta2: number
  /** sqrt(1 - beta2^t) */
  readonly root: number
  readonly eps: number
  /** lr / (1 - beta1^t) */
  readonly rate: number
}

/** Moves of this many steps in a row count each by itself; later ones are taken together. */
const SINGLE = 4
/** Steps of the first group of moves that are taken together. */
const GROUP = 8
const TERMS = SINGLE + 2
/** decay, the powers of beta1 and beta2, then weight and factor of each term. */
const COLUMNS = 3 + 2 * TERMS
/** Steps that are remembered; before more come, all rows are brought up to date. */
const MOST_STEPS = 2048
/** Moves shrink with beta1^k: below this they change nothing. */
const NEGLIGIBLE = 1e-14

/** p decay - m sum_i w_i / (x_i sqrt(v) + eps) */
function caughtUp(p: Expr, m: Expr, v: Expr, columns: readonly Expr[], eps: Expr): Expr {
  const [decay, ...terms] = columns
  const root = v.sqrt()
  let sum = terms[0].div(terms[TERMS].mul(root).add(eps))
  for (let i = 1; i < TERMS; i++) sum = sum.add(terms[i].div(terms[TERMS + i].mul(root).add(eps)))
  return p.mul(decay).sub(m.mul(sum))
}

const rowsOp: MapOp = {
  kind: 'map',
  name: 'adamCatchUpRows',
  expr: ([p, m, v, ...columns], scalar) => caughtUp(p, m, v, columns, scalar(0, 'f32')),
}

const tableOp: UpdateOp = {
  kind: 'update',
  name: 'adamCatchUp',
  exprs: ([p, m, v, decay, power1, power2, ...terms], scalar) => [
    caughtUp(p, m, v, [decay, ...terms], scalar(0, 'f32')),
    m.mul(power1),
    v.mul(power2),
  ],
}

const momentsOp: UpdateOp = {
  kind: 'update',
  name: 'adamCatchUpMoments',
  exprs: ([m, v, power1, power2]) => [m.mul(power1), v.mul(power2)],
}

interface Rows {
  readonly p: Tensor
  readonly m: Tensor
  readonly v: Tensor
}

/** A table [V, D] with its moments, of which some rows are behind. */
export class LazyRows implements Behind {
  readonly #states: readonly [p: State, m: State, v: State]
  readonly #eps: number
  /** As the device has them, in float32. */
  readonly #beta1: number
  readonly #beta2: number
  /** The step up to which each row has been brought. */
  readonly #last: Int32Array
  readonly #first: number
  /** Of the steps after the first: the logarithm of all decays up to it, and its numbers. */
  readonly #logDecay = [0]
  readonly #rates = [0]
  readonly #roots = [0]
  #isWriting = false

  /** @param step the last step of the whole table */
  constructor(p: State, m: State, v: State, step: number, { beta1, beta2, eps }: AdamStep) {
    this.#states = [p, m, v]
    this.#first = step
    this.#last = new Int32Array(p.shape[0]).fill(step)
    this.#beta1 = 1 - Math.fround(1 - beta1)
    this.#beta2 = Math.fround(beta2)
    this.#eps = eps
    for (const state of this.#states) state.behind = this
  }

  /** Whether a step with these numbers can follow. */
  accepts(m: State, step: number, { beta1, beta2, eps }: AdamStep): boolean {
    const next = this.#first + this.#rates.length
    return (
      this.#states[1] === m &&
      step === next &&
      this.#rates.length < MOST_STEPS &&
      this.#beta1 === 1 - Math.fround(1 - beta1) &&
      this.#beta2 === Math.fround(beta2) &&
      this.#eps === eps
    )
  }

  /** What brings a row from step `last` up to now. */
  #columnsSince(last: number, into: Float32Array, at: number): void {
    const from = last - this.#first
    const to = this.#rates.length - 1
    const total = this.#logDecay[to] - this.#logDecay[from]
    into[at] = Math.exp(total)
    into[at + 1] = this.#beta1 ** (to - from)
    into[at + 2] = this.#beta2 ** (to - from)
    const weights = at + 3
    const factors = weights + TERMS
    into.fill(0, weights, factors)
    into.fill(1, factors, factors + TERMS)
    const shrink = Math.sqrt(this.#beta2)
    let power = 1
    let rootPower = 1
    // sums over a group of c / q and c / q^2, with c the weight of a move and q the factor of its sqrt(v)
    let first = 0
    let second = 0
    for (let j = from + 1; j <= to; j++) {
      power *= this.#beta1
      rootPower *= shrink
      if (power < NEGLIGIBLE) break
      const c = Math.exp(this.#logDecay[to] - this.#logDecay[j]) * this.#rates[j] * power
      const q = rootPower / this.#roots[j]
      first += c / q
      second += c / (q * q)
      const k = j - from
      const term = k <= SINGLE ? k - 1 : k <= SINGLE + GROUP ? SINGLE : SINGLE + 1
      // one fraction w / (x s + eps) for the group: right in the first two orders of eps / s
      if (second > 0) {
        into[weights + term] = (first * first) / second
        into[factors + term] = first / second
      }
      if (k <= SINGLE || k === SINGLE + GROUP) first = second = 0
    }
  }

  /** The columns [N, COLUMNS] of rows by their last step. */
  #columns(lasts: Int32Array): Tensor {
    const data = new Float32Array(lasts.length * COLUMNS)
    const known = new Map<number, number>()
    for (let n = 0; n < lasts.length; n++) {
      const same = known.get(lasts[n])
      const at = n * COLUMNS
      if (same !== undefined) data.copyWithin(at, same, same + COLUMNS)
      else {
        known.set(lasts[n], at)
        this.#columnsSince(lasts[n], data, at)
      }
    }
    return tensor(data, [lasts.length, COLUMNS])
  }

  /** Rows as they would be by now, [N, D] each; of ids outside any row. */
  #rows(ids: ArrayLike<number>): Rows {
    const inside = Int32Array.from(ids, (id) => (id < 0 || id >= this.#last.length ? 0 : id))
    const columns = this.#columns(inside.map((id) => this.#last[id]))
    const at = tensor(inside)
    const [p, m, v] = this.#states.map((state) => takeRows(new Tensor(state.peek), at))
    const column = (i: number) => slice(columns, 1, i, i + 1)
    const terms = Array.from({ length: 2 * TERMS }, (_, i) => column(3 + i))
    return {
      p: apply(rowsOp, [p, m, v, column(0), ...terms], p.shape, 'float32', {}, [this.#eps]),
      m: m.mul(column(1)),
      v: v.mul(column(2)),
    }
  }

  rowsAt(ids: ArrayLike<number>): Tensor {
    return this.#rows(ids).p
  }

  /** One step of Adam for the rows at `ids`, all different (-1: none), with gradients [N, D]. The others fall behind. */
  update(ids: Int32Array, grad: Tensor, step: AdamStep): void {
    const rows = this.#rows(ids)
    const m = rows.m.add(grad.sub(rows.m).mul(1 - step.beta1))
    const v = rows.v.mul(step.beta2).add(grad.mul(grad).mul(1 - step.beta2))
    const move = m.div(v.sqrt().div(step.root).add(step.eps)).mul(step.rate)
    const p = rows.p.mul(step.decay).sub(move)
    this.#isWriting = true
    try {
      const at = tensor(ids)
      for (const [i, x] of [p, m, v].entries()) assignRows(this.#states[i], x, at)
    } finally {
      this.#isWriting = false
    }
    const now = this.#first + this.#rates.length
    this.#logDecay.push(this.#logDecay[this.#logDecay.length - 1] + Math.log(Math.fround(step.decay)))
    this.#rates.push(Math.fround(step.rate))
    this.#roots.push(Math.fround(step.root))
    for (const id of ids) if (id >= 0) this.#last[id] = now
  }

  catchUp(): void {
    if (this.#isWriting) return
    this.#detach()
    const [p] = this.#states
    const columns = this.#columns(this.#last)
    const inputs = Array.from({ length: COLUMNS }, (_, i) => expand(slice(columns, 1, i, i + 1), p.shape))
    noGrad(() => updateEach(tableOp, [{ states: this.#states, inputs }], [], [this.#eps]))
  }

  replaced(state: State): void {
    const [p, m, v] = this.#states
    if (state !== p)
      throw new Error(`[optim] ${state.name} is replaced while rows of ${p.name} are behind: read it before`)
    this.#detach()
    const columns = this.#columns(this.#last)
    const inputs = [1, 2].map((i) => expand(slice(columns, 1, i, i + 1), p.shape))
    noGrad(() => updateEach(momentsOp, [{ states: [m, v], inputs }], [], []))
  }

  #detach(): void {
    for (const state of this.#states) state.behind = null
  }
}
