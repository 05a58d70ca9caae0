import type { UpdateOp } from '../../core/op.ts'
import { updateEach } from '../../core/ops/foreach.ts'
import { Optimizer, type ParamGroup, type Params, type Update } from './optimizer.ts'

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

/** p and, with momentum, its buffer from the gradient. */
const sgdOp: UpdateOp = {
  kind: 'update',
  name: 'sgd',
  exprs: (args, scalar, { decay, maximize, momentum, nesterov }) => {
    const [p, buffer] = args
    const [lr, weightDecay, mass, share] = [0, 1, 2, 3].map((i) => scalar(i, 'f32'))
    let grad = args.at(-1)!
    if (maximize) grad = grad.neg()
    if (decay) grad = grad.add(p.mul(weightDecay))
    if (momentum === 'none') return [p.sub(grad.mul(lr))]
    const next = momentum === 'first' ? grad : buffer.mul(mass).add(grad.mul(share))
    const direction = nesterov ? grad.add(next.mul(mass)) : next
    return [p.sub(direction.mul(lr)), next]
  },
}

/** Stochastic gradient descent, with momentum as in PyTorch: the first buffer is the first gradient. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(params: Params<SGDOptions>, options: Partial<SGDOptions> = {}) {
    super(params, { ...DEFAULTS, ...options })
    for (const { nesterov, momentum, dampening } of this.paramGroups)
      if (nesterov && (momentum <= 0 || dampening !== 0))
        throw new RangeError('[SGD] nesterov needs a momentum and no dampening')
  }

  protected update(updates: readonly Update[], group: ParamGroup<SGDOptions>): void {
    const { lr, momentum, dampening, weightDecay, nesterov, maximize } = group
    const scalars = [lr, weightDecay, momentum, 1 - dampening]
    const attrs = { decay: weightDecay !== 0, maximize, nesterov }
    if (momentum === 0) {
      const tuples = updates.map(({ p, grad }) => ({ states: [p.state], inputs: [grad] }))
      updateEach(sgdOp, tuples, [], scalars, { ...attrs, momentum: 'none' })
      return
    }
    const known = Map.groupBy(updates, ({ slots }) => slots.momentum_buffer === undefined)
    for (const [isFirst, list] of known) {
      const tuples = list.map(({ p, grad, slots }) => ({
        states: [p.state, this.zeros(slots, 'momentum_buffer', p).state],
        inputs: [grad],
      }))
      updateEach(sgdOp, tuples, [], scalars, { ...attrs, momentum: isFirst ? 'first' : 'running' })
    }
  }
}
