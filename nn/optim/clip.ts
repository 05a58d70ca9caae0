import { rowGradientOf } from '../../core/gradients.ts'
import { noGrad, Tensor } from '../../core/index.ts'
import type { ReduceEachOp, UpdateOp } from '../../core/op.ts'
import type { StateTensor } from '../../core/ops/effects.ts'
import { reduceEach, updateEach } from '../../core/ops/foreach.ts'

const listOf = (parameters: Tensor | Iterable<Tensor>): Tensor[] =>
  parameters instanceof Tensor ? [parameters] : [...parameters]

const gradientsOf = (parameters: readonly Tensor[]): StateTensor[] =>
  parameters.flatMap((p) => (p.grad as StateTensor | null) ?? [])

const magnitude = (name: string, combine: 'sum' | 'max', expr: ReduceEachOp['expr']): ReduceEachOp => ({
  kind: 'reduceEach',
  name,
  combine,
  expr,
})
const largest = magnitude('largest', 'max', (x) => x.abs())
const sumOfMagnitudes = magnitude('sumOfMagnitudes', 'sum', (x) => x.abs())
const sumOfSquares = magnitude('sumOfSquares', 'sum', (x) => x.mul(x))
const sumOfPowers = magnitude('sumOfPowers', 'sum', (x, scalar) => x.abs().log().mul(scalar(0, 'f32')).exp())

/** sum |x|^p, or the largest |x|, over all tensors: one element. */
function powerSum(tensors: readonly Tensor[], p: number): Tensor {
  if (p === Number.POSITIVE_INFINITY) return reduceEach(largest, tensors).amax()
  if (p === 2) return reduceEach(sumOfSquares, tensors).sum()
  return (p === 1 ? reduceEach(sumOfMagnitudes, tensors) : reduceEach(sumOfPowers, tensors, [p])).sum()
}

/** The same over what two calls gave. */
const together = (a: Tensor, b: Tensor, p: number): Tensor =>
  p === Number.POSITIVE_INFINITY ? a.maximum(b) : a.add(b)

const scaleOp: UpdateOp = { kind: 'update', name: 'scale', exprs: ([x, factor]) => [x.mul(factor)] }

/** The p-th root of a sum of powers. */
function root(x: Tensor, p: number): Tensor {
  if (p === Number.POSITIVE_INFINITY || p === 1) return x
  return p === 2 ? x.sqrt() : x.log().div(p).exp()
}

/**
 * Scales all gradients by min(1, maxNorm / (norm + 1e-6)), where `norm` is that of all of them together. Call it between
 * `backward()` and `step()`.
 * @returns the norm before clipping, one element; readable after the step
 */
export function clipGradNorm_(
  parameters: Tensor | Iterable<Tensor>,
  maxNorm: number,
  options: { normType?: number } = {},
): Tensor {
  const p = options.normType ?? 2
  if (!(p > 0)) throw new RangeError(`[clipGradNorm_] normType ${p} must be positive`)
  const all = listOf(parameters)
  const rows = all.flatMap((t) => rowGradientOf(t) ?? [])
  const grads = gradientsOf(all.filter((t) => !rowGradientOf(t)))
  if (grads.length + rows.length === 0)
    throw new Error('[clipGradNorm_] no parameter has a gradient: call backward() first')
  return noGrad(() => {
    // rows first and by themselves: their number changes from batch to batch, the plan for the others does not
    const ofRows =
      rows.length > 0
        ? powerSum(
            rows.map((r) => r.sums().sums),
            p,
          )
        : null
    const ofGrads = grads.length > 0 ? powerSum(grads, p) : null
    const norm = root(ofRows && ofGrads ? together(ofGrads, ofRows, p) : (ofGrads ?? ofRows)!, p)
    const factor = norm.add(1e-6).reciprocal().mul(maxNorm).minimum(1)
    const tuples = grads.map((g) => ({ states: [g.state], inputs: [] }))
    updateEach(scaleOp, tuples, [factor], [])
    for (const r of rows) r.scale(factor)
    norm.value.keep = true
    return norm
  })
}

/** Limits every element of the gradients to [-clipValue, clipValue]. */
export function clipGradValue_(parameters: Tensor | Iterable<Tensor>, clipValue: number): void {
  if (!(clipValue >= 0)) throw new RangeError(`[clipGradValue_] clipValue ${clipValue} must be at least 0`)
  noGrad(() => {
    for (const g of gradientsOf(listOf(parameters))) g.copy_(g.clamp(-clipValue, clipValue))
  })
}
