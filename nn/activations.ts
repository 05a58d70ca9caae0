/** Activation functions as modules. */
import { gelu, relu, sigmoid, silu, softmax, type Tensor, tanh } from '../core/index.ts'
import { Module } from './module.ts'

export class ReLU extends Module {
  forward(x: Tensor): Tensor {
    return relu(x)
  }
}

export class SiLU extends Module {
  forward(x: Tensor): Tensor {
    return silu(x)
  }
}

export class Tanh extends Module {
  forward(x: Tensor): Tensor {
    return tanh(x)
  }
}

export class Sigmoid extends Module {
  forward(x: Tensor): Tensor {
    return sigmoid(x)
  }
}

export class GELU extends Module {
  readonly #approximate: 'none' | 'tanh'

  constructor(options: { approximate?: 'none' | 'tanh' } = {}) {
    super()
    this.#approximate = options.approximate ?? 'none'
  }

  forward(x: Tensor): Tensor {
    return gelu(x, { approximate: this.#approximate })
  }

  override extraRepr(): string {
    return `approximate=${this.#approximate}`
  }
}

export class Softmax extends Module {
  readonly #dim: number

  constructor(dim: number) {
    super()
    this.#dim = dim
  }

  forward(x: Tensor): Tensor {
    return softmax(x, this.#dim)
  }

  override extraRepr(): string {
    return `dim=${this.#dim}`
  }
}

export class Identity extends Module {
  forward(x: Tensor): Tensor {
    return x
  }
}
