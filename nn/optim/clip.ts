import { noGrad, stack, Tensor } from '../../core/index.ts'

const withGradient = (parameters: Tensor | Iterable<Tensor>): Tensor[] =>
  (parameters instanceof Tensor ? [parameters] : [...parameters]).flatMap((p) => p.grad ?? [])

/** sum |x|^p, or the largest |x|, of one tensor. */
function powerSum(x: Tensor, p: number): Tensor {
  if (p === Number.POSITIVE_INFINITY) return x.abs().amax()
  if (p === 2) return x.square().sum()
  return p === 1 ? x.abs().sum() : x.abs().log().mul(p).exp().sum()
}

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
  const grads = withGradient(parameters)
  if (grads.length === 0)
    throw new Error('[clipGradNorm_] no parameter has a gradient: call backward() first')
  return noGrad(() => {
    const parts = stack(grads.map((g) => powerSum(g, p)))
    const norm = root(p === Number.POSITIVE_INFINITY ? parts.amax() : parts.sum(), p)
    const factor = norm.add(1e-6).reciprocal().mul(maxNorm).minimum(1)
    for (const g of grads) g.mul_(factor)
    norm.value.keep = true
    return norm
  })
}

/** Limits every element of the gradients to [-clipValue, clipValue]. */
export function clipGradValue_(parameters: Tensor | Iterable<Tensor>, clipValue: number): void {
  if (!(clipValue >= 0)) throw new RangeError(`[clipGradValue_] clipValue ${clipValue} must be at least 0`)
  noGrad(() => {
    for (const g of withGradient(parameters)) g.copy_(g.clamp(-clipValue, clipValue))
  })
}
