/** In-place methods: they rebind the handle; on a State (a parameter, a buffer) they write it. */
import { requestRoot } from '../graph.ts'
import { modes } from '../modes.ts'
import type { ViewOp } from '../op.ts'
import { apply, type Tensor } from '../tensor.ts'
import { add, div, mul, sub } from './arithmetic.ts'
import { full, method } from './define.ts'
import { StateTensor } from './effects.ts'
import { expand } from './views.ts'

/** New contents of a leaf: the same elements, behind which no gradient flows. */
const leafOp: ViewOp = { kind: 'view', name: 'leaf', apply: (view) => view }

/** Whether backward leaves a gradient at this tensor. */
const isLeaf = (x: Tensor): boolean => x.requiresGrad && !x.value.node?.op.grad

/** The result must keep the handle's shape and dtype, as memory would. */
function into(x: Tensor, name: string, y: Tensor): Tensor {
  const result = y.dtype === x.dtype ? y : undefined
  if (!result) throw new TypeError(`[${name}] a ${y.dtype} result cannot be stored in a ${x.dtype} tensor`)
  const filled = expand(result, x.shape)
  if (x instanceof StateTensor || !isLeaf(x)) {
    x.rebind(filled.value)
    return x
  }
  if (modes().grad)
    throw new Error(`[${name}] this leaf requires a gradient: change it inside noGrad(() => ...)`)
  const leaf = apply(leafOp, [filled], x.shape, x.dtype).value
  leaf.firstLeaf = x.value.firstLeaf ?? x.value
  leaf.hooks = x.value.hooks
  leaf.requiresGrad = true
  // otherwise it would stay a formula over the gradients of all earlier steps
  requestRoot(leaf)
  x.rebind(leaf)
  return x
}

declare module '../tensor.ts' {
  interface Tensor {
    add_(other: Tensor | number): this
    sub_(other: Tensor | number): this
    mul_(other: Tensor | number): this
    div_(other: Tensor | number): this
    /** Takes the elements of `other`. */
    copy_(other: Tensor): this
    fill_(value: number): this
    zero_(): this
  }
}
method('add_', (x, other: Tensor | number) => into(x, 'add_', add(x, other)))
method('sub_', (x, other: Tensor | number) => into(x, 'sub_', sub(x, other)))
method('mul_', (x, other: Tensor | number) => into(x, 'mul_', mul(x, other)))
method('div_', (x, other: Tensor | number) => into(x, 'div_', div(x, other)))
method('copy_', (x, other: Tensor) => into(x, 'copy_', other))
method('fill_', (x, value: number) => into(x, 'fill_', full(x.shape, value, { dtype: x.dtype })))
method('zero_', (x) => into(x, 'zero_', full(x.shape, 0, { dtype: x.dtype })))
