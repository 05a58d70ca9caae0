/** Elementwise comparisons (bool results), and the larger and smaller of two. */
import type { Tensor } from '../tensor.ts'
import { mul } from './arithmetic.ts'
import { cast } from './cast.ts'
import { binary, method } from './define.ts'

export const eq = binary('eq', { result: 'bool', expr: (a, b) => a.eq(b) })
export const ne = binary('ne', { result: 'bool', expr: (a, b) => a.ne(b) })
export const lt = binary('lt', { result: 'bool', expr: (a, b) => a.lt(b) })
export const le = binary('le', { result: 'bool', expr: (a, b) => a.le(b) })
export const gt = binary('gt', { result: 'bool', expr: (a, b) => a.gt(b) })
export const ge = binary('ge', { result: 'bool', expr: (a, b) => a.ge(b) })

/** Share of a gradient that goes to the first of two equal operands is half, as in PyTorch. */
const chosen = (wins: Tensor, ties: Tensor): Tensor =>
  cast(wins, 'float32').add(cast(ties, 'float32').mul(0.5))

/** The larger of two, NaN where either is NaN. */
export const maximum = binary('maximum', {
  result: 'promote',
  expr: (a, b) => a.max(b),
  grad: ({ dy, inputs: [a, b] }) => [
    mul(dy, chosen(gt(a, b), eq(a, b))),
    mul(dy, chosen(gt(b, a), eq(a, b))),
  ],
})

/** The smaller of two, NaN where either is NaN. */
export const minimum = binary('minimum', {
  result: 'promote',
  expr: (a, b) => a.min(b),
  grad: ({ dy, inputs: [a, b] }) => [
    mul(dy, chosen(lt(a, b), eq(a, b))),
    mul(dy, chosen(lt(b, a), eq(a, b))),
  ],
})

declare module '../tensor.ts' {
  interface Tensor {
    eq(other: Tensor | number): Tensor
    ne(other: Tensor | number): Tensor
    lt(other: Tensor | number): Tensor
    le(other: Tensor | number): Tensor
    gt(other: Tensor | number): Tensor
    ge(other: Tensor | number): Tensor
    maximum(other: Tensor | number): Tensor
    minimum(other: Tensor | number): Tensor
  }
}
for (const [name, fn] of Object.entries({ eq, ne, lt, le, gt, ge, maximum, minimum }))
  method(name as 'eq', fn)
