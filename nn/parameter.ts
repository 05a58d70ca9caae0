import type { DType, Shape, Tensor } from '../core/index.ts'
import { assign, StateTensor } from '../core/ops/effects.ts'
import { State } from '../core/state.ts'

export interface ParameterOptions {
  /** How the values are kept; float16 and bfloat16 are for inference and take no gradient. Default float32. */
  dtype?: DType
  /** Default true for float32, else false. */
  requiresGrad?: boolean
  name?: string
}

/**
 * A tensor that a module owns and an optimizer changes: its values live in a `State`, so they outlast evaluations, and
 * gradients collect in `grad`. Takes a tensor (its values), or a shape (left uninitialised, to be loaded or filled).
 */
export class Parameter extends StateTensor {
  // `to()` moves a parameter to another dtype or device, which takes another State; whoever holds the Parameter follows
  declare state: State

  constructor(init: Tensor | Shape, options: ParameterOptions = {}) {
    const shape = 'shape' in init ? init.shape : init
    const dtype = options.dtype ?? 'float32'
    super(new State(shape, dtype, options.name ?? 'parameter'))
    if ('shape' in init) assign(this.state, init)
    if (options.requiresGrad ?? dtype === 'float32') this.requiresGrad_()
  }

  /** The name in errors: modules set it to the path of the parameter. */
  get name(): string {
    return this.state.name
  }
  set name(name: string) {
    this.state.name = name
  }

  /** @internal Continues with another State of the same shape; the gradient is left behind. */
  adopt(state: State): void {
    const trainable = this.requiresGrad && state.dtype === 'float32'
    this.state = state
    if (trainable) this.requiresGrad_()
  }
}
