import { maximum, type Tensor } from '../../core/index.ts'
import type { Parameter } from '../parameter.ts'
import { countStep, Optimizer, type ParamGroup, type Params, type Slots, store } from './optimizer.ts'

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

abstract class AdamBase extends Optimizer<AdamOptions> {
  /** Whether weight decay shrinks the weights rather than joining the gradient. */
  protected abstract readonly decoupled: boolean

  /**
   * m and v, then p, one after another and elementwise, so that the planner makes one pass of them. Bias corrections are
   * numbers: they change every step without a new plan. The order of operations is that of PyTorch.
   */
  protected update(p: Parameter, gradient: Tensor, group: ParamGroup<AdamOptions>, slots: Slots): void {
    const { lr, eps, weightDecay } = group
    const [beta1, beta2] = group.betas
    const step = countStep(slots)
    let grad = group.maximize ? gradient.neg() : gradient
    let weights: Tensor = p
    if (weightDecay !== 0) {
      if (this.decoupled) weights = p.mul(1 - lr * weightDecay)
      else grad = grad.add(p.mul(weightDecay))
    }
    const m = this.zeros(slots, 'exp_avg', p)
    const v = this.zeros(slots, 'exp_avg_sq', p)
    store(m, m.add(grad.sub(m).mul(1 - beta1)))
    store(v, v.mul(beta2).add(grad.mul(grad).mul(1 - beta2)))
    let second: Tensor = v
    if (group.amsgrad) {
      const largest = this.zeros(slots, 'max_exp_avg_sq', p)
      second = store(largest, maximum(largest, v))
    }
    const denominator = second
      .sqrt()
      .div(Math.sqrt(1 - beta2 ** step))
      .add(eps)
    store(p, weights.sub(m.div(denominator).mul(lr / (1 - beta1 ** step))))
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
