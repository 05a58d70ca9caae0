import type { Tensor } from '../../core/index.ts'
import type { Parameter } from '../parameter.ts'
import { Optimizer, type ParamGroup, type Params, type Slots, store } from './optimizer.ts'

export interface SGDOptions {
  /** Learning rate. Default 1e-3. */
  lr: number
  momentum: number
  /** Share of the gradient that does not enter the momentum. */
  dampening: number
  weightDecay: number
  nesterov: boolean
  /** Go up the gradient. */
  maximize: boolean
}

const DEFAULTS: SGDOptions = {
  lr: 1e-3,
  momentum: 0,
  dampening: 0,
  weightDecay: 0,
  nesterov: false,
  maximize: false,
}

/** Stochastic gradient descent, with momentum as in PyTorch: the first buffer is the first gradient. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(params, { ...DEFAULTS, ...options })
    for (const { nesterov, momentum, dampening } of this.paramGroups)
      if (nesterov && (momentum <= 0 || dampening !== 0))
        throw new RangeError('[SGD] nesterov needs a momentum and no dampening')
  }

  protected update(p: Parameter, gradient: Tensor, group: ParamGroup<SGDOptions>, slots: Slots): void {
    const { lr, momentum, dampening, weightDecay, nesterov, maximize } = group
    let grad = maximize ? gradient.neg() : gradient
    if (weightDecay !== 0) grad = grad.add(p.mul(weightDecay))
    if (momentum !== 0) {
      const first = slots.momentum_buffer === undefined
      const buffer = this.zeros(slots, 'momentum_buffer', p)
      store(buffer, first ? grad : buffer.mul(momentum).add(grad.mul(1 - dampening)))
      grad = nesterov ? grad.add(buffer.mul(momentum)) : buffer
    }
    store(p, p.sub(grad.mul(lr)))
  }
}
