/** What a scheduler changes of an optimizer. */
export interface Scheduled {
  readonly paramGroups: { lr: number; initialLr?: number }[]
}

/** The factor of the initial learning rate at a step, counted from 0. */
export type LrLambda = (step: number) => number

/**
 * Sets each group's learning rate to its initial one times a function of the step. Making it sets the rate of step 0; call
 * `step()` after every optimizer step.
 */
export class LambdaLR {
  /** The step that the current rate is for. */
  lastEpoch: number
  readonly #optimizer: Scheduled
  readonly #lambdas: readonly LrLambda[]

  /** @param lrLambda one function, or one for each group */
  constructor(
    optimizer: Scheduled,
    lrLambda: LrLambda | readonly LrLambda[],
    options: { lastEpoch?: number } = {},
  ) {
    const groups = optimizer.paramGroups
    const lambdas = typeof lrLambda === 'function' ? groups.map(() => lrLambda) : lrLambda
    if (lambdas.length !== groups.length)
      throw new RangeError(`[LambdaLR] ${lambdas.length} functions do not fit ${groups.length} groups`)
    this.#optimizer = optimizer
    this.#lambdas = lambdas
    this.lastEpoch = (options.lastEpoch ?? -1) + 1
    for (const group of groups) group.initialLr ??= group.lr
    this.#apply()
  }

  #apply(): void {
    for (const [i, group] of this.#optimizer.paramGroups.entries())
      group.lr = group.initialLr! * this.#lambdas[i](this.lastEpoch)
  }

  step(): void {
    this.lastEpoch++
    this.#apply()
  }

  /** The current learning rate of each group. */
  getLastLr(): number[] {
    return this.#optimizer.paramGroups.map((group) => group.lr)
  }

  stateDict(): { lastEpoch: number; baseLrs: number[] } {
    return { lastEpoch: this.lastEpoch, baseLrs: this.#optimizer.paramGroups.map((g) => g.initialLr!) }
  }

  loadStateDict(dict: { lastEpoch: number; baseLrs: readonly number[] }): void {
    this.lastEpoch = dict.lastEpoch
    for (const [i, group] of this.#optimizer.paramGroups.entries()) group.initialLr = dict.baseLrs[i]
    this.#apply()
  }
}
