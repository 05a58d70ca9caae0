/** In-place methods: they rebind the handle; on a State (a parameter, a buffer) they write it. */
import { requestRoot } from '../graph.ts'
import { modes } from '../modes.ts'
import type { ViewOp } from '../op.ts'
import { apply, Tensor } from '../tensor.ts'
import { add, div, mul, sub } from './arithmetic.ts'
import { put, type Ranges } from './assemble.ts'
import { cast } from './cast.ts'
import { full, method } from './define.ts'
import { StateTensor } from './effects.ts'
import { at, type Index } from './indexing.ts'
import { expand, reshape } from './views.ts'
import { where } from './where.ts'

/** New contents of a leaf: the same elements, behind which no gradient flows. */
const leafOp: ViewOp = { kind: 'view', name: 'leaf', apply: (view) => view }

/** Whether backward leaves a gradient at this tensor. */
const isLeaf = (x: Tensor): boolean => x.requiresGrad && !x.value.node?.op.grad

/** What an index takes of each dimension: numbers and ranges only. */
function rangesOf(x: Tensor, index: readonly Index[]): Ranges {
  const taken = index.filter((entry) => entry !== null)
  return x.shape.map((size, d) => {
    const entry = taken[d] ?? []
    if (entry instanceof Tensor)
      throw new TypeError('[setAt_] takes numbers and ranges, or one bool mask: use where() for positions')
    if (typeof entry === 'number') return [entry < 0 ? entry + size : entry, 1, 1]
    const [start = 0, end = size, step = 1] = entry
    const clamped = (i: number) => Math.min(size, Math.max(0, i < 0 ? i + size : i))
    const from = clamped(start)
    return [from, step, Math.max(0, Math.ceil((clamped(end) - from) / step))]
  })
}

/** Writes `value` (a number, or a tensor that broadcasts) where the index points: what `x[index] = value` is in PyTorch. */
function setAt(x: Tensor, index: Index | readonly Index[], value: Tensor | number): Tensor {
  const given = typeof value === 'number' ? full([], value, { dtype: x.dtype }) : cast(value, x.dtype)
  if (index instanceof Tensor && index.dtype === 'bool') {
    const mask = reshape(index, [...index.shape, ...x.shape.slice(index.ndim).map(() => 1)])
    if (given.numel !== 1)
      throw new RangeError('[setAt_] a mask takes one value: use where() for a value an element')
    return into(x, 'setAt_', where(mask, reshape(given, []), x))
  }
  const entries = Array.isArray(index) ? (index as readonly Index[]) : [index as Index]
  const ranges = rangesOf(x, entries)
  const part = expand(given, at(x, ...entries).shape)
  const lengths = ranges.map(([, , length]) => length)
  return into(x, 'setAt_', put(x, reshape(part, lengths), ranges))
}

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
    /**
     * Writes a number, or a tensor that broadcasts, at an index: a number, a list of the entries that `at` takes (but for
     * tensors), or a bool mask.
     */
    setAt_(index: Index | readonly Index[], value: Tensor | number): this
  }
}
method('add_', (x, other: Tensor | number) => into(x, 'add_', add(x, other)))
method('sub_', (x, other: Tensor | number) => into(x, 'sub_', sub(x, other)))
method('mul_', (x, other: Tensor | number) => into(x, 'mul_', mul(x, other)))
method('div_', (x, other: Tensor | number) => into(x, 'div_', div(x, other)))
method('copy_', (x, other: Tensor) => into(x, 'copy_', other))
method('fill_', (x, value: number) => into(x, 'fill_', full(x.shape, value, { dtype: x.dtype })))
method('zero_', (x) => into(x, 'zero_', full(x.shape, 0, { dtype: x.dtype })))
method('setAt_', setAt)
