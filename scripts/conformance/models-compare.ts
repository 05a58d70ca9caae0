/** Comparing numbers by the goldens' rule: |got - expected| <= tol * (1 + |expected|). */
import type { Tensor } from '../../core/index.ts'
import type { GoldenFile, TensorRef } from './golden.ts'

/** As in goldens/README.md; `lr` as for schedules. */
export const TOLERANCES = {
  loss: 1e-5,
  outputs: 2e-5,
  grads: 2e-5,
  packing: 3e-5,
  weights: 1e-5,
  lr: 1e-9,
} as const

/** Families whose outputs and gradients are rounded more in any float32 program. */
const WIDER: Readonly<Record<string, Partial<Record<keyof typeof TOLERANCES, number>>>> = {
  gemma2: { outputs: 5e-5, grads: 1e-4 },
  gemma3_text: { outputs: 5e-5, grads: 1e-4 },
}

/** Collects what differs in one case. */
export class Comparison {
  readonly #modelType: string
  readonly #problems: string[] = []

  constructor(modelType: string) {
    this.#modelType = modelType
  }

  /** Null where everything agreed. */
  get result(): string | null {
    const [first, ...others] = this.#problems
    if (first === undefined) return null
    return others.length ? `${first}; and ${others.length} more differences` : first
  }

  fail(what: string, how: string): void {
    this.#problems.push(`${what}: ${how}`)
  }

  /** `keep(i)`: whether element i counts. */
  numbers(
    what: string,
    got: ArrayLike<number>,
    expected: ArrayLike<number>,
    kind: keyof typeof TOLERANCES,
    keep: (i: number) => boolean = () => true,
  ): void {
    const tol = WIDER[this.#modelType]?.[kind] ?? TOLERANCES[kind]
    this.#check(what, got, expected, (e) => tol * (1 + Math.abs(e)), keep)
  }

  absolute(what: string, got: ArrayLike<number>, expected: ArrayLike<number>, limit: number): void {
    this.#check(
      what,
      got,
      expected,
      () => limit,
      () => true,
    )
  }

  #check(
    what: string,
    got: ArrayLike<number>,
    expected: ArrayLike<number>,
    limit: (expected: number) => number,
    keep: (i: number) => boolean,
  ): void {
    if (got.length !== expected.length) {
      this.fail(what, `${got.length} elements, not ${expected.length}`)
      return
    }
    let worst = -1
    let ratio = 1
    for (let i = 0; i < got.length; i++) {
      if (!keep(i) || Object.is(got[i], expected[i])) continue
      const r = Math.abs(got[i] - expected[i]) / limit(expected[i])
      if (!(r <= ratio)) {
        worst = i
        ratio = r
        if (Number.isNaN(r)) break
      }
    }
    if (worst >= 0)
      this.fail(
        what,
        `element ${worst} is ${got[worst]}, not ${expected[worst]} (${ratio.toFixed(1)} x the tolerance)`,
      )
  }

  /**
   * An output of a model. Where the mask [B, T] is 0, positions hold values that no user sees: an output with the batch and the
   * tokens as its first dimensions is compared at the others, and attentions [B, heads, T, T] at the others' rows.
   */
  async output(
    what: string,
    got: Tensor | undefined,
    ref: TensorRef,
    golden: GoldenFile,
    mask?: ArrayLike<number>,
  ): Promise<void> {
    if (!got) return this.fail(what, 'is missing')
    if (got.shape.join() !== ref.shape.join())
      return this.fail(what, `has shape [${got.shape}], not [${ref.shape}]`)
    const keep = mask ? unmasked(ref.shape, mask) : undefined
    this.numbers(what, await got.data(), golden.numbers(ref), 'outputs', keep)
  }
}

function unmasked(shape: readonly number[], mask: ArrayLike<number>): ((i: number) => boolean) | undefined {
  const batch = shape[0]
  const tokens = mask.length / batch
  const row = shape.slice(2).reduce((a, b) => a * b, 1)
  if (shape[1] === tokens && shape.length <= 3) return (i) => mask[Math.floor(i / row)] !== 0
  if (shape.length !== 4 || shape[2] !== tokens) return undefined
  const [, heads, , keys] = shape
  return (i) => {
    const query = Math.floor(i / keys) % tokens
    const b = Math.floor(i / (keys * tokens * heads))
    return mask[b * tokens + query] !== 0
  }
}
