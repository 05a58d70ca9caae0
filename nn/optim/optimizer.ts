import { rowGradientOf } from '../../core/gradients.ts'
import { evaluate, noGrad, type Removable, Tensor, zeroGrad } from '../../core/index.ts'
import { assign, StateTensor } from '../../core/ops/effects.ts'
import type { RowGradient } from '../../core/row-gradient.ts'
import { State } from '../../core/state.ts'
import { Parameter } from '../parameter.ts'

/** Options of one group of parameters; a scheduler changes `lr`, the next step reads it. */
export type ParamGroup<Options> = Options & {
  params: Parameter[]
  /** The learning rate that a scheduler multiplies. */
  initialLr?: number
}

/** Parameters, or groups of them with options of their own. */
export type Params<Options> =
  | Iterable<Parameter>
  | readonly (Partial<Options> & { params: Iterable<Parameter> })[]

/** What an optimizer remembers of one parameter: tensors under PyTorch's names, and counters. */
export type Slots = Record<string, StateTensor | number>

/** A parameter that has a gradient, and what the optimizer remembers of it. */
export interface Update {
  readonly p: Parameter
  readonly grad: Tensor
  readonly slots: Slots
}

/** PyTorch's layout: `state` by the parameter's number, and the groups with numbers for parameters. */
export interface OptimizerStateDict {
  state: Record<number, Record<string, Tensor | number>>
  paramGroups: (Record<string, unknown> & { params: number[] })[]
}

type StepHook = (optimizer: Optimizer<{ lr: number }>) => void | Promise<void>

/** One array of zeros serves every slot that starts as zeros: uploading reads it and keeps nothing. */
let zeroBlock = new Float32Array(0)

/**
 * Base of all optimizers. `step()` records the update of every parameter that has a gradient as effects on its State and
 * evaluates everything pending: forward and backward in one plan, the update in one that every step finds again.
 */
export abstract class Optimizer<Options extends { lr: number }> {
  readonly paramGroups: ParamGroup<Options>[]
  readonly #slots = new Map<Parameter, Slots>()
  readonly #preHooks = new Set<StepHook>()

  constructor(params: Params<Options>, defaults: Options) {
    const items = [...(params as Iterable<Parameter | (Partial<Options> & { params: Iterable<Parameter> })>)]
    const groups = items.some((x) => x instanceof Tensor)
      ? [{ params: items as Parameter[] } as Partial<Options> & { params: Parameter[] }]
      : (items as (Partial<Options> & { params: Iterable<Parameter> })[])
    this.paramGroups = groups.map((group) => ({ ...defaults, ...group, params: [...group.params] }))
    this.#check()
  }

  #check(): void {
    const seen = new Set<Parameter>()
    for (const group of this.paramGroups) {
      if (!(group.lr >= 0)) throw new RangeError(`[optim] lr ${group.lr} must be at least 0`)
      for (const p of group.params) {
        if (!(p instanceof Parameter))
          throw new TypeError(
            '[optim] optimizers change Parameters: wrap the tensor as new Parameter(tensor)',
          )
        if (seen.has(p)) throw new Error(`[optim] parameter ${p.name} is in more than one group, or twice`)
        seen.add(p)
      }
    }
    if (seen.size === 0) throw new Error('[optim] got no parameters')
  }

  /** Records the updates of a group's parameters, as effects on their States and slots (`updateEach`). */
  protected abstract update(updates: readonly Update[], group: ParamGroup<Options>): void

  /**
   * What records the update of a table whose gradient is a few rows. Null, the default, asks for the gradient as a whole and
   * `update`.
   */
  protected rowUpdate(
    _p: Parameter,
    _rows: RowGradient,
    _slots: Slots,
    _group: ParamGroup<Options>,
  ): (() => void) | null {
    return null
  }

  /** Updates every parameter that has a gradient, and computes everything that is pending. */
  async step(): Promise<void> {
    for (const hook of this.#preHooks) await hook(this as unknown as Optimizer<{ lr: number }>)
    noGrad(() => {
      // rows last: what is done to whole gradients is then a plan that does not depend on the batch (core/plan/segments.ts)
      const rowUpdates: (() => void)[] = []
      for (const group of this.paramGroups) {
        const updates: Update[] = []
        for (const p of group.params) {
          const rows = rowGradientOf(p)
          const rowUpdate = rows && this.rowUpdate(p, rows, this.slotsOf(p), group)
          if (rowUpdate) {
            rowUpdates.push(rowUpdate)
            continue
          }
          const { grad } = p
          if (grad) updates.push({ p, grad, slots: this.slotsOf(p) })
        }
        this.update(updates, group)
      }
      for (const update of rowUpdates) update()
    })
    await evaluate()
  }

  /** Makes the next gradients overwrite rather than add. */
  zeroGrad(): void {
    for (const group of this.paramGroups) zeroGrad(group.params)
  }

  /** Calls `hook` at the start of every step, when the gradients are recorded: the place to reduce them across processes. */
  registerStepPreHook(hook: StepHook): Removable {
    const entry: StepHook = (optimizer) => hook(optimizer)
    this.#preHooks.add(entry)
    return { remove: () => void this.#preHooks.delete(entry) }
  }

  protected slotsOf(p: Parameter): Slots {
    let slots = this.#slots.get(p)
    if (!slots) {
      slots = {}
      this.#slots.set(p, slots)
    }
    return slots
  }

  /** A slot of the parameter's shape, zeros at first. */
  protected zeros(slots: Slots, name: string, p: Parameter): StateTensor {
    const known = slots[name]
    if (known instanceof StateTensor) return known
    const slot = new StateTensor(new State(p.shape, 'float32', `${p.name}.${name}`))
    if (zeroBlock.length < p.numel) zeroBlock = new Float32Array(p.numel)
    slot.state.write(zeroBlock.subarray(0, p.numel))
    slots[name] = slot
    return slot
  }

  /** Everything that a resumed run needs. Tensors are live: read them before the next step. */
  stateDict(): OptimizerStateDict {
    const numbers = new Map<Parameter, number>()
    for (const group of this.paramGroups) for (const p of group.params) numbers.set(p, numbers.size)
    const paramGroups = this.paramGroups.map((group) => ({
      ...group,
      params: group.params.map((p) => numbers.get(p)!),
    }))
    const state = Object.fromEntries(
      [...this.#slots].map(([p, slots]) => [numbers.get(p)!, { ...slots }] as const),
    )
    return { state, paramGroups }
  }

  /** Continues where `dict` was taken. @throws RangeError where groups or sizes differ */
  loadStateDict(dict: OptimizerStateDict): void {
    const sizes = (groups: readonly { params: readonly unknown[] }[]) =>
      groups.map((g) => g.params.length).join()
    if (sizes(dict.paramGroups) !== sizes(this.paramGroups))
      throw new RangeError(
        `[loadStateDict] groups of [${sizes(dict.paramGroups)}] parameters do not fit groups of [${sizes(this.paramGroups)}]`,
      )
    for (const [i, { params: _, ...options }] of dict.paramGroups.entries())
      Object.assign(this.paramGroups[i], options)
    const all = this.paramGroups.flatMap((g) => g.params)
    noGrad(() => {
      for (const [number, saved] of Object.entries(dict.state)) this.#restore(all[Number(number)], saved)
    })
  }

  #restore(p: Parameter, saved: Record<string, Tensor | number>): void {
    const slots = this.slotsOf(p)
    for (const [name, value] of Object.entries(saved)) {
      if (typeof value === 'number') slots[name] = value
      else if (value.numel !== p.numel)
        throw new RangeError(
          `[loadStateDict] ${name} of ${p.name} has shape [${value.shape}], not [${p.shape}]`,
        )
      else assign(this.zeros(slots, name, p).state, value)
    }
  }
}

/** Counts the updates of one parameter. */
export const countStep = (slots: Slots): number => {
  const step = ((slots.step as number | undefined) ?? 0) + 1
  slots.step = step
  return step
}
