/** Factories of op records, and the way in which methods join `Tensor`. */
import { computeDType, type DType, isFloat, promoteTypes } from '../dtype.ts'
import { constant, type Expr } from '../expr.ts'
import type { GradRule, MapOp } from '../op.ts'
import { broadcastShapes, type Shape } from '../shape.ts'
import { apply, scalarResultType, Tensor } from '../tensor.ts'
import { cast } from './cast.ts'

/** Adds a function as a method: `method('relu', relu)` makes `x.relu()` the same as `relu(x)`. */
export function method<K extends keyof Tensor>(
  name: K,
  fn: (self: Tensor, ...args: never[]) => unknown,
): void {
  Object.defineProperty(Tensor.prototype, name, {
    value(this: Tensor, ...args: never[]) {
      return fn(this, ...args)
    },
    configurable: true,
    writable: true,
  })
}

export interface UnarySpec {
  expr: (x: Expr) => Expr
  grad?: GradRule
  /** `float`: integers are converted to float32 first (exp, sqrt). `same`: the dtype stays. `bool`: the result is bool. */
  result: 'float' | 'same' | 'bool'
}

/** An elementwise op of one tensor. */
export function unary(name: string, spec: UnarySpec): (x: Tensor) => Tensor {
  const op: MapOp = { kind: 'map', name, expr: ([x]) => spec.expr(x), grad: spec.grad }
  return (x) => {
    const input = spec.result === 'float' && !isFloat(x.dtype) ? cast(x, 'float32') : x
    const dtype = spec.result === 'bool' ? 'bool' : computeDType(input.dtype)
    return apply(op, [input], input.shape, dtype)
  }
}

export interface BinarySpec {
  expr: (a: Expr, b: Expr) => Expr
  grad?: GradRule
  /** `promote`: the common dtype. `float`: integers become float32 (division). `bool`: a comparison. */
  result: 'promote' | 'float' | 'bool'
}

/** An elementwise op of two tensors, or of a tensor and a number on either side. */
export function binary(name: string, spec: BinarySpec): (a: Tensor | number, b: Tensor | number) => Tensor {
  const op: MapOp = { kind: 'map', name, expr: ([a, b]) => spec.expr(a, b), grad: spec.grad }
  const scalarRight: MapOp = {
    kind: 'map',
    name: `${name}.scalar`,
    expr: ([a], s) => spec.expr(a, s(0, a.type === 'i32' ? 'i32' : 'f32')),
    grad:
      spec.grad &&
      ((c) =>
        spec.grad!({ ...c, inputs: [c.inputs[0], numberTensor(c.scalars[0])], needs: [true, false] }).slice(
          0,
          1,
        )),
  }
  const scalarLeft: MapOp = {
    kind: 'map',
    name: `scalar.${name}`,
    expr: ([b], s) => spec.expr(s(0, b.type === 'i32' ? 'i32' : 'f32'), b),
    grad:
      spec.grad &&
      ((c) =>
        spec.grad!({ ...c, inputs: [numberTensor(c.scalars[0]), c.inputs[0]], needs: [false, true] }).slice(
          1,
          2,
        )),
  }
  // Registers hold no arithmetic on truth values: bools compute as int32, and go back where PyTorch's result is bool.
  const inType = (common: DType): DType =>
    spec.result === 'float' ? 'float32' : common === 'bool' ? 'int32' : common
  const outType = (common: DType): DType => (spec.result === 'bool' ? 'bool' : common)
  const withNumber = (record: MapOp, x: Tensor, n: number): Tensor => {
    const common = inType(scalarResultType(x, n))
    return apply(record, [cast(x, common)], x.shape, outType(common), {}, [n])
  }
  return (a, b) => {
    if (typeof b === 'number') {
      if (typeof a === 'number') throw new TypeError(`[${name}] needs a tensor on one side at least`)
      return withNumber(scalarRight, a, b)
    }
    if (typeof a === 'number') return withNumber(scalarLeft, b, a)
    const promoted = promoteTypes(a.dtype, b.dtype)
    const common = inType(promoted)
    const shape = broadcastShapes(name, a.shape, b.shape)
    const out = apply(op, [cast(a, common), cast(b, common)], shape, outType(common))
    return promoted === 'bool' && spec.result === 'promote' ? cast(out, 'bool') : out
  }
}

/** A 0-dimensional float32 tensor that lives in a scalar slot: no memory, and no new plan when the number changes. */
export const numberTensor = (n: number): Tensor => full([], n)

const fullOp: MapOp = {
  kind: 'map',
  name: 'full',
  expr: (_, s, attrs) => s(0, attrs.type === 'i32' ? 'i32' : 'f32'),
}
const fullBool: MapOp = {
  kind: 'map',
  name: 'full.bool',
  expr: (_, __, attrs) => constant(attrs.on ? 1 : 0, 'bool'),
}

/** A tensor filled with one number. Shape: `shape`; dtype float32 unless given. */
export function full(shape: Shape, fillValue: number | boolean, options: { dtype?: DType } = {}): Tensor {
  const dtype = options.dtype ?? (typeof fillValue === 'boolean' ? 'bool' : 'float32')
  if (dtype === 'bool') return apply(fullBool, [], [...shape], 'bool', { on: Boolean(fillValue) })
  return apply(fullOp, [], [...shape], dtype, { type: dtype === 'int32' ? 'i32' : 'f32' }, [
    Number(fillValue),
  ])
}
