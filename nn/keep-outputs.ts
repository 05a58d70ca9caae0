import { Tensor } from '../core/index.ts'

/** Outputs up to this size stay readable after the step that computes them. */
const KEEP_BYTES = 2 ** 20

/**
 * Makes what a model returns a result of the next evaluation, so that `await out.logits.data()` after `optimizer.step()`
 * needs no second forward. Looks into arrays and plain objects; larger tensors need `retain()`.
 */
export function keepOutputs(output: unknown): void {
  if (output instanceof Tensor) {
    if (!output.value.storage && output.numel * 4 <= KEEP_BYTES) output.value.keep = true
  } else if (Array.isArray(output)) output.forEach(keepOutputs)
  else if (
    typeof output === 'object' &&
    output !== null &&
    Object.getPrototypeOf(output) === Object.prototype
  )
    Object.values(output).forEach(keepOutputs)
}
