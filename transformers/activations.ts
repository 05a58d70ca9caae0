import { clamp, gelu, relu, sigmoid, silu, square, type Tensor, tanh } from '../core/index.ts'

type Activation = (x: Tensor) => Tensor

/** transformers' `ACT2FN`: what `hidden_act` and `activation_function` may name. */
const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  gelu: (x) => gelu(x),
  gelu_python: (x) => gelu(x),
  gelu_10: (x) => clamp(gelu(x), -10, 10),
  gelu_new: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_fast: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_pytorch_tanh: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_python_tanh: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_accurate: (x) => gelu(x, { approximate: 'tanh' }),
  quick_gelu: (x) => x.mul(sigmoid(x.mul(1.702))),
  relu,
  relu2: (x) => square(relu(x)),
  relu6: (x) => clamp(x, 0, 6),
  sigmoid,
  silu,
  swish: silu,
  tanh,
  linear: (x) => x,
}

/** @throws RangeError for a name that is not built */
export function activation(name: string): Activation {
  const found = ACTIVATIONS[name]
  if (!found)
    throw new RangeError(
      `[activation] "${name}" is not one of ${Object.keys(ACTIVATIONS).join(', ')}: change the config`,
    )
  return found
}
