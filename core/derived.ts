/** Host tensors that are computed from the elements of another one, such as a table's rows at some positions. */
import type { TypedArray } from './dtype.ts'
import type { Value } from './graph.ts'
import type { Shape } from './shape.ts'
import { type Tensor, tensor } from './tensor.ts'

interface Recipe {
  readonly source: Value
  readonly make: (elements: TypedArray) => Float32Array
}

const recipes = new WeakMap<Value, Recipe>()

/**
 * A float32 tensor of what `make` computes from the elements of `source`, which are known. How it is made is remembered, so that a
 * replay with other elements can make it anew.
 */
export function derived(source: Tensor, shape: Shape, make: Recipe['make']): Tensor {
  const { storage } = source.value
  if (storage?.kind !== 'host') throw new Error('[derived] the source is not known before it is computed')
  const made = tensor(make(storage.data), shape)
  recipes.set(made.value, { source: source.value, make })
  return made
}

/** How a tensor was derived, or undefined. */
export const recipeOf = (value: Value): Recipe | undefined => recipes.get(value)
