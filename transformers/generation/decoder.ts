/** Running a causal model token by token: the prompt once, then a step for each token, which is replayed once it is known. */
import { type DType, noGrad, type Tensor, type TypedArray, tensor } from '../../core/index.ts'
import { type RecordedStep, Replay, recordStep } from '../../core/replay.ts'
import { turn } from '../../core/turn.ts'
import { Module } from '../../nn/index.ts'
import { SteadyModule } from '../../nn/steady.ts'
import type { KVCache } from '../cache.ts'
import type { CausalModel } from './generate.ts'

export interface Sequence {
  readonly ids: number[]
  /** Tokens of padding on the left. */
  readonly padding: number
  finished: boolean
}

/** Milliseconds of replays after which the event loop turns, so that signals get their chance. */
const SLICE = 50

const int32 = (values: Int32Array, shape: readonly number[]): Tensor =>
  tensor(values, { shape: [...shape], dtype: 'int32' satisfies DType })

/** 1 for tokens, 0 for the padding before them, int32 [B, T]; null where nothing is padded. */
function maskOf(sequences: readonly Sequence[]): Tensor | null {
  if (sequences.every((s) => s.padding === 0)) return null
  const width = sequences[0].ids.length
  const mask = new Int32Array(sequences.length * width).fill(1)
  for (const [r, s] of sequences.entries()) mask.fill(0, r * width, r * width + s.padding)
  return int32(mask, [sequences.length, width])
}

/**
 * The first steps are recorded like any call of a model. When two steps for a token each have shown what changes, and every
 * module of the model is known to do the same ops at every call (see `declareSteady`), the others are replayed: none of the
 * model's JavaScript runs. Whatever replaces, hooks or trains a module meanwhile is noticed, and the next step recorded.
 */
export class Decoder {
  readonly #model: CausalModel
  readonly #cache: KVCache | null
  /** What is read of the logits [B, 1, V]. */
  readonly #result: (logits: Tensor) => Tensor
  #steady: SteadyModule | null
  #last: RecordedStep | null = null
  #replay: Replay | null = null
  #lastTurn = performance.now()

  /** @param options `greedy`: read the best token of each sequence, rather than the scores of all */
  constructor(model: CausalModel, cache: KVCache | null, options: { greedy: boolean }) {
    this.#model = model
    this.#cache = cache
    this.#result = options.greedy ? bestTokens : (logits) => logits
    this.#steady = cache && model instanceof Module ? SteadyModule.of(model) : null
  }

  /** Reads what the cache lacks of each sequence; gives scores [B * V] of the next token, or with `greedy` the tokens [B]. */
  async next(sequences: readonly Sequence[]): Promise<TypedArray> {
    const from = this.#cache?.length ?? 0
    const fresh = sequences[0].ids.length - from
    const ids = Int32Array.from(sequences.flatMap((s) => s.ids.slice(from)))
    // padding has no position; the first real token has 0
    const positions = Int32Array.from(
      sequences.flatMap((s) => Array.from({ length: fresh }, (_, i) => Math.max(0, from + i - s.padding))),
    )
    return (await this.#replayed(ids, positions, from)) ?? this.#recorded(sequences, ids, positions, from)
  }

  async #replayed(ids: Int32Array, positions: Int32Array, from: number): Promise<TypedArray | null> {
    if (!this.#replay) return null
    const result = this.#steady?.isUnchanged() ? this.#replay.run([ids, positions], from) : null
    if (!result) {
      this.#forget()
      return null
    }
    this.#cache!.advance(1)
    if (performance.now() - this.#lastTurn > SLICE) {
      await turn()
      this.#lastTurn = performance.now()
    }
    return result
  }

  async #recorded(
    sequences: readonly Sequence[],
    ids: Int32Array,
    positions: Int32Array,
    from: number,
  ): Promise<TypedArray> {
    const shape = [sequences.length, ids.length / sequences.length]
    const inputs = [int32(ids, shape), int32(positions, shape)]
    // around each call of the model: browsers do not carry a mode across `await`
    const result = noGrad(() => {
      const { logits } = this.#model({
        inputIds: inputs[0],
        positionIds: inputs[1],
        attentionMask: maskOf(sequences),
        pastKeyValues: this.#cache,
        logitsToKeep: 1,
      })
      return this.#result(logits)
    })
    const step = this.#steady && shape[1] === 1 ? recordStep(result, inputs, from) : null
    const data = await result.data()
    if (step && this.#last) this.#replay = Replay.from(this.#last, step)
    this.#last = step
    return data
  }

  /** Something changed: steps are recorded until two are alike again. */
  #forget(): void {
    this.dispose()
    this.#last = null
    this.#steady = this.#model instanceof Module ? SteadyModule.of(this.#model) : null
  }

  /** Gives back what replays hold. */
  dispose(): void {
    this.#replay?.dispose()
    this.#replay = null
  }
}

/** Int32 [B, 1], the first of equals; the logits themselves are then not kept. */
function bestTokens(logits: Tensor): Tensor {
  logits.value.keep = false
  return logits.argmax(-1)
}
