/** Elementwise arithmetic of two operands, with broadcasting and PyTorch's promotion. */
import type { GradRule } from '../op.ts'
import type { Tensor } from '../tensor.ts'
import { binary, method, unary } from './define.ts'

type Operand = Tensor | number
type Binary = (a: Operand, b: Operand) => Tensor

export const add: Binary = binary('add', {
  result: 'promote',
  expr: (a, b) => a.add(b),
  grad: ({ dy }) => [dy, dy],
})

export const sub: Binary = binary('sub', {
  result: 'promote',
  expr: (a, b) => a.sub(b),
  grad: ({ dy, needs }) => [dy, needs[1] ? neg(dy) : null],
})

const mulGrad: GradRule = ({ dy, inputs: [a, b], needs }) => [
  needs[0] ? mul(dy, b) : null,
  needs[1] ? mul(dy, a) : null,
]
export const mul: Binary = binary('mul', { result: 'promote', expr: (a, b) => a.mul(b), grad: mulGrad })

export const div: Binary = binary('div', {
  result: 'float',
  expr: (a, b) => a.div(b),
  grad: ({ dy, inputs: [a, b], needs }) => [
    needs[0] ? div(dy, b) : null,
    needs[1] ? neg(div(mul(dy, a), mul(b, b))) : null,
  ],
})

export const neg: (x: Tensor) => Tensor = unary('neg', {
  result: 'same',
  expr: (x) => x.neg(),
  grad: ({ dy }) => [neg(dy)],
})

const power: Binary = binary('pow', {
  result: 'promote',
  expr: (a, b) => (a.type === 'i32' ? a.toF32().pow(b.toF32()).round().toI32() : a.pow(b)),
  grad: ({ dy, inputs: [a, b], outputs: [y], needs }) => [
    // x^0 is constant, also where x^-1 is not finite; 0^y likewise
    needs[0] ? mul(dy, mul(b, power(a, sub(b, 1)))).where(b.ne(0), 0) : null,
    needs[1] ? mul(dy, mul(y, a.log())).where(a.ne(0).logicalOr(b.lt(0)), 0) : null,
  ],
})

/** a to the power of b. Whole numbers are computed in float32, which is exact up to 2^24. */
export const pow: Binary = (a, b) => (b === 2 && typeof a !== 'number' ? mul(a, a) : power(a, b))

declare module '../tensor.ts' {
  interface Tensor {
    /** Sum with a tensor or a number, elementwise with broadcasting. */
    add(other: Tensor | number): Tensor
    sub(other: Tensor | number): Tensor
    mul(other: Tensor | number): Tensor
    /** True division: integers give float32. */
    div(other: Tensor | number): Tensor
    neg(): Tensor
    /** This tensor to a power: a number or a tensor. */
    pow(exponent: Tensor | number): Tensor
  }
}
method('add', add)
method('sub', sub)
method('mul', mul)
method('div', div)
method('neg', neg)
method('pow', pow)
