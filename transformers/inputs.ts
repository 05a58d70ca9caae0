/** What models take: tensors, typed arrays or nested arrays, turned into tensors of the right dtype. */
import { Tensor, type TypedArray, tensor } from '../core/index.ts'
import { formatShape } from '../core/shape.ts'
import type { Nested } from '../core/tensor.ts'
import type { KVCache } from './cache.ts'

/** A tensor, a row as typed array, or nested rows of numbers. */
export type TensorLike = Tensor | Nested | Float32Array | Int32Array | Uint8Array

/** Inputs that all models share. Ids, masks and positions have shape [B, T]. */
export interface ModelInputs {
  /** Token ids. */
  inputIds?: TensorLike | null
  /** Embeddings [B, T, H] in place of ids. */
  inputsEmbeds?: Tensor | null
  /** 1 (or true) for tokens, 0 for padding; with a cache it covers the cached tokens too. */
  attentionMask?: TensorLike | null
  positionIds?: TensorLike | null
  /**
   * Packed sequences: where each begins in the one row of `inputIds` [1, T], and T at the end. Positions restart, nothing is
   * attended across boundaries, and what a model gives per text comes per segment.
   */
  cuSeqlens?: readonly number[] | Int32Array | Tensor | null
  outputHiddenStates?: boolean | null
  outputAttentions?: boolean | null
}

/** Inputs of a model that predicts the next token. */
export interface CausalInputs extends ModelInputs {
  /** Keys and values of earlier calls, to which this one adds. */
  pastKeyValues?: KVCache | null
  /** Start a cache where none is given. Only inside `noGrad`. */
  useCache?: boolean | null
}

/** Inputs of a head with a loss. */
export interface LabelInputs {
  labels?: TensorLike | null
  /**
   * Divide the summed loss by this rather than by the number of labels here: with gradient accumulation, the labels of all
   * micro-batches together.
   */
  numItemsInBatch?: number | null
}

/** @throws TypeError where the values are not whole */
export function asInt(name: string, x: TensorLike): Tensor {
  const t = x instanceof Tensor ? x : tensor(x, { dtype: 'int32' })
  if (t.dtype === 'float32') throw new TypeError(`[${name}] takes whole numbers, not float32`)
  return t.int()
}

export const asFloat = (x: TensorLike): Tensor =>
  x instanceof Tensor ? x.float() : tensor(x, { dtype: 'float32' })

/** The elements where they are known without computing. */
export function hostValues(t: Tensor): TypedArray | null {
  const storage = t.value.storage
  return storage?.kind === 'host' ? storage.data : null
}

/** @throws TypeError for inputs that the model does not have, so that a misspelt one is not ignored */
export function checkInputs(model: string, inputs: object, known: readonly string[]): void {
  for (const [name, value] of Object.entries(inputs))
    if (value !== undefined && value !== null && !known.includes(name))
      throw new TypeError(`[${model}] has no input "${name}": it takes ${known.join(', ')}`)
}

export const COMMON_INPUTS = [
  'inputIds',
  'inputsEmbeds',
  'attentionMask',
  'positionIds',
  'cuSeqlens',
  'outputHiddenStates',
  'outputAttentions',
] as const
export const CAUSAL_INPUTS = [...COMMON_INPUTS, 'pastKeyValues', 'useCache'] as const
export const LABEL_INPUTS = ['labels', 'numItemsInBatch'] as const

/** Batch size and number of tokens. @throws where neither or both of ids and embeddings are there */
export function inputSize(
  model: string,
  inputs: ModelInputs,
): { ids: Tensor | null; batch: number; tokens: number } {
  if (!inputs.inputIds === !inputs.inputsEmbeds)
    throw new TypeError(`[${model}] takes either inputIds or inputsEmbeds`)
  const ids = inputs.inputIds ? asInt('inputIds', inputs.inputIds) : null
  const shape = ids?.shape ?? inputs.inputsEmbeds!.shape
  if (ids && shape.length !== 2)
    throw new RangeError(`[${model}] inputIds need shape [B,T], not ${formatShape(shape)}`)
  return { ids, batch: shape[0], tokens: shape[1] }
}

/** The base model's part of a head's inputs. */
export function headInputs<T extends object>(
  model: string,
  inputs: T,
  known: readonly string[],
  own: readonly string[],
): T {
  checkInputs(model, inputs, [...known, ...own])
  return Object.fromEntries(Object.entries(inputs).filter(([name]) => !own.includes(name))) as T
}
