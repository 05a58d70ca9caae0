import type { UpdateOp } from '../../core/op.ts'
import { updateEach } from '../../core/ops/foreach.ts'
import type { RowGradient } from '../../core/row-gradient.ts'
import type { Parameter } from '../parameter.ts'
import { type AdamStep, LazyRows } from './lazy-rows.ts'
import { countStep, Optimizer, type ParamGroup, type Params, type Slots, type Update } from './optimizer.ts'

export interface AdamOptions {
  /** Learning rate. Default 1e-3. */
  lr: number
  /** Decay of the running means of the gradient and of its square. Default [0.9, 0.999]. */
  betas: readonly [number, number]
  /** Added to the denominator. Default 1e-8. */
  eps: number
  weightDecay: number
  /** Use the largest running mean of squares so far (Reddi et al. 2018). */
  amsgrad: boolean
  /** Go up the gradient. */
  maximize: boolean
}

const DEFAULTS: AdamOptions = {
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
}

/** How weight decay enters: not at all, into the gradient, or by shrinking the weights. */
type Decay = 'none' | 'gradient' | 'weights'

/**
 * p, m, v and with amsgrad the largest v so far, from the gradient: one pass over all. Bias corrections are numbers, which
 * change every step without a new plan. The order of operations is that of PyTorch.
 */
const adamOp: UpdateOp = {
  kind: 'update',
  name: 'adam',
  exprs: (args, scalar, { amsgrad, decay, maximize }) => {
    const [p, m, v] = args
    const number = (i: number) => scalar(i, 'f32')
    let grad = maximize ? args[amsgrad ? 4 : 3].neg() : args[amsgrad ? 4 : 3]
    if (decay === 'gradient') grad = grad.add(p.mul(number(0)))
    const weights = decay === 'weights' ? p.mul(number(0)) : p
    const mean = m.add(grad.sub(m).mul(number(1)))
    const square = v.mul(number(2)).add(grad.mul(grad).mul(number(3)))
    const second = amsgrad ? args[3].max(square) : square
    const denominator = second.sqrt().div(number(4)).add(number(5))
    const moved = weights.sub(mean.div(denominator).mul(number(6)))
    return amsgrad ? [moved, mean, square, second] : [moved, mean, square]
  },
}

abstract class AdamBase extends Optimizer<AdamOptions> {
  /** Whether weight decay shrinks the weights rather than joining the gradient. */
  protected abstract readonly decoupled: boolean

  /** A table of which a batch touched a few rows: only these are visited, see `LazyRows`. */
  protected override rowUpdate(
    p: Parameter,
    rows: RowGradient,
    slots: Slots,
    group: ParamGroup<AdamOptions>,
  ): (() => void) | null {
    const { lr, eps, weightDecay, amsgrad, maximize } = group
    const [beta1, beta2] = group.betas
    const decay = 1 - lr * weightDecay
    // what cannot be made up for in closed form takes the whole gradient
    if (amsgrad || eps <= 0 || (weightDecay !== 0 && !this.decoupled) || decay <= 0) return null
    return () => {
      const step = countStep(slots)
      const numbers: AdamStep = {
        decay,
        beta1,
        beta2,
        root: Math.sqrt(1 - beta2 ** step),
        eps,
        rate: lr / (1 - beta1 ** step),
      }
      const { ids, sums } = rows.sums()
      const [m, v] = ['exp_avg', 'exp_avg_sq'].map((name) => this.zeros(slots, name, p).state)
      const known = p.state.behind
      const isOurs = known instanceof LazyRows && known.accepts(m, step, numbers)
      if (known && !isOurs) known.catchUp()
      const table = isOurs ? known : new LazyRows(p.state, m, v, step - 1, numbers)
      table.update(ids, maximize ? sums.neg() : sums, numbers)
    }
  }

  protected update(updates: readonly Update[], group: ParamGroup<AdamOptions>): void {
    const { lr, eps, weightDecay, amsgrad, maximize } = group
    const [beta1, beta2] = group.betas
    const decay: Decay = weightDecay === 0 ? 'none' : this.decoupled ? 'weights' : 'gradient'
    // parameters that had no gradient in some steps have a count of their own
    const bySteps = Map.groupBy(updates, ({ slots }) => countStep(slots))
    for (const [step, ofStep] of bySteps) {
      const tuples = ofStep.map(({ p, grad, slots }) => {
        const names = amsgrad ? ['exp_avg', 'exp_avg_sq', 'max_exp_avg_sq'] : ['exp_avg', 'exp_avg_sq']
        return {
          states: [p.state, ...names.map((name) => this.zeros(slots, name, p).state)],
          inputs: [grad],
        }
      })
      const scalars = [
        decay === 'weights' ? 1 - lr * weightDecay : weightDecay,
        1 - beta1,
        beta2,
        1 - beta2,
        Math.sqrt(1 - beta2 ** step),
        eps,
        lr / (1 - beta1 ** step),
      ]
      updateEach(adamOp, tuples, [], scalars, { amsgrad, decay, maximize })
    }
  }
}

/** Adam (Kingma and Ba 2015); weight decay is added to the gradient. */
export class Adam extends AdamBase {
  protected override readonly decoupled = false

  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, { ...DEFAULTS, ...options })
  }
}

/** Adam with decoupled weight decay (Loshchilov and Hutter 2019); `weightDecay` is 0.01 unless given. */
export class AdamW extends AdamBase {
  protected override readonly decoupled = true

  constructor(params: Params<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(params, { ...DEFAULTS, weightDecay: 0.01, ...options })
  }
}
