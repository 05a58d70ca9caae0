/** Logic on truth values; other dtypes are true where they are not 0. */
import type { MapOp } from '../op.ts'
import { broadcastShapes } from '../shape.ts'
import { apply, type Tensor } from '../tensor.ts'
import { cast } from './cast.ts'
import { method } from './define.ts'

const logical = (name: string, expr: MapOp['expr']) => {
  const op: MapOp = { kind: 'map', name, expr }
  return (a: Tensor, b: Tensor): Tensor =>
    apply(op, [cast(a, 'bool'), cast(b, 'bool')], broadcastShapes(name, a.shape, b.shape), 'bool')
}

export const logicalAnd = logical('logicalAnd', ([a, b]) => a.and(b))
export const logicalOr = logical('logicalOr', ([a, b]) => a.or(b))
export const logicalXor = logical('logicalXor', ([a, b]) => a.xor(b))

const notOp: MapOp = { kind: 'map', name: 'logicalNot', expr: ([x]) => x.not() }
export const logicalNot = (x: Tensor): Tensor => apply(notOp, [cast(x, 'bool')], x.shape, 'bool')

declare module '../tensor.ts' {
  interface Tensor {
    logicalAnd(other: Tensor): Tensor
    logicalOr(other: Tensor): Tensor
    logicalXor(other: Tensor): Tensor
    logicalNot(): Tensor
  }
}
method('logicalAnd', logicalAnd)
method('logicalOr', logicalOr)
method('logicalXor', logicalXor)
method('logicalNot', logicalNot)
