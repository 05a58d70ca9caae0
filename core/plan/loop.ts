/** Building one loop kernel: operands seen through chains of views, and the merging of dimensions that lie side by side. */
import type { DType } from '../dtype.ts'
import { address, type Expr, load, scalar } from '../expr.ts'
import type { Node, Value } from '../graph.ts'
import { scalarType, type ViewOp } from '../op.ts'
import { type Shape, sameShape } from '../shape.ts'
import { contiguousView, expandView, type View } from '../view.ts'
import type { KernelScalar, Operand } from './kernel.ts'

/** How the loop's index reaches a value: views to apply, from the value outwards. Null is the loop itself. */
export interface Link {
  readonly apply: (view: View) => View | null
  /** What to put into memory where `apply` fails: then it starts from a contiguous tensor, and cannot. */
  readonly source: Value
  readonly next: Link | null
}

/** Thrown where a kernel cannot be built unless a value is stored first; planning starts again with it. */
export class NeedsStorage {
  readonly value: Value
  constructor(value: Value) {
    this.value = value
  }
}

export interface Place {
  readonly buffer: number
  readonly dtype: DType
}

export interface LoopContext {
  /** The buffer of a value that is in memory by now, or null. */
  place(value: Value): Place | null
  /** Slot number of the first scalar of a node. */
  slotOf(node: Node): number
}

interface LoopOperand {
  readonly buffer: number
  readonly dtype: DType
  readonly view: View
}

/** Collects operands, scalars and expressions of one kernel. */
export class LoopBuilder {
  readonly loads: LoopOperand[] = []
  readonly scalars: KernelScalar[] = []
  readonly labels: string[] = []
  private readonly context: LoopContext
  private readonly memo = new Map<Value, { chain: Link | null; expr: Expr }[]>()

  constructor(context: LoopContext) {
    this.context = context
  }

  /** The expression of one element of `value` at the loop's index. */
  build(value: Value, chain: Link | null): Expr {
    const known = this.memo.get(value)
    if (known) for (const k of known) if (k.chain === chain) return k.expr
    const expr = this.make(value, chain)
    if (known) known.push({ chain, expr })
    else this.memo.set(value, [{ chain, expr }])
    return expr
  }

  private make(value: Value, chain: Link | null): Expr {
    const place = this.context.place(value)
    if (place)
      return load(this.operand(place.buffer, place.dtype, seen(value.shape, chain)), scalarType(value.dtype))
    const node = value.node!
    const op = node.op
    if (op.kind === 'view') {
      const source = node.inputs[0]
      const apply = (view: View) => (op as ViewOp).apply(view, node.attrs, value.shape)
      return this.build(source, { apply, source, next: chain })
    }
    this.labels.push(op.name)
    if (op.kind === 'iota') return address(this.operand(-1, 'int32', seen(value.shape, chain)))
    if (op.kind !== 'map') throw new Error(`[plan] ${op.name} is used before it was computed`)
    const args = node.inputs.map((input) => this.build(input, this.stretched(input, value.shape, chain)))
    const slot = this.context.slotOf(node)
    return op.expr(args, (i, type) => this.scalar(slot + i, type), node.attrs)
  }

  /** The chain that reaches `input` from an index of a larger shape. */
  stretched(input: Value, shape: Shape, chain: Link | null): Link | null {
    if (sameShape(input.shape, shape)) return chain
    return { apply: (view) => expandView(view, shape), source: input, next: chain }
  }

  operand(buffer: number, dtype: DType, view: View): number {
    const same = (l: LoopOperand) =>
      l.buffer === buffer &&
      l.dtype === dtype &&
      l.view.offset === view.offset &&
      sameShape(l.view.strides, view.strides)
    const at = this.loads.findIndex(same)
    return at >= 0 ? at : this.loads.push({ buffer, dtype, view }) - 1
  }

  /** The scalar in a slot. */
  scalar(slot: number, type: 'f32' | 'i32'): Expr {
    let at = this.scalars.findIndex((s) => s.slot === slot && s.type === type)
    if (at < 0) at = this.scalars.push({ slot, type }) - 1
    return scalar(at, type)
  }

  get label(): string {
    return this.labels.reverse().join('+') || 'copy'
  }
}

function seen(shape: Shape, chain: Link | null): View {
  let view: View | null = contiguousView(shape)
  for (let link = chain; link; link = link.next) {
    view = link.apply(view)
    if (!view) throw new NeedsStorage(link.source)
  }
  return view
}

/** Loop dimensions after merging neighbours and dropping sizes of 1. `groups` keeps kept and reduced dimensions apart. */
export interface Collapsed {
  readonly shape: number[]
  readonly operands: { offset: number; strides: number[] }[]
  /** How many dimensions each group has now. */
  readonly ranks: number[]
}

/** Merges dimension d into d + 1 where every operand steps over both evenly. At least one dimension stays in each group. */
export function collapse(
  shape: Shape,
  views: readonly View[],
  groups: readonly (readonly number[])[],
): Collapsed {
  const outShape: number[] = []
  const operands: { offset: number; strides: number[] }[] = []
  for (const v of views) operands.push({ offset: v.offset, strides: [] })
  const ranks: number[] = []
  const follows = (d: number): boolean => {
    const last = outShape.length - 1
    for (let i = 0; i < views.length; i++)
      if (operands[i].strides[last] !== views[i].strides[d] * shape[d]) return false
    return true
  }
  for (const dims of groups) {
    const start = outShape.length
    for (const d of dims) {
      if (shape[d] === 1) continue
      const last = outShape.length - 1
      if (last >= start && follows(d)) {
        outShape[last] *= shape[d]
        for (let i = 0; i < views.length; i++) operands[i].strides[last] = views[i].strides[d]
      } else {
        outShape.push(shape[d])
        for (let i = 0; i < views.length; i++) operands[i].strides.push(views[i].strides[d])
      }
    }
    if (outShape.length === start) {
      outShape.push(1)
      for (const o of operands) o.strides.push(0)
    }
    ranks.push(outShape.length - start)
  }
  return { shape: outShape, operands, ranks }
}

export const toOperand = (o: LoopOperand, at: { offset: number; strides: number[] }): Operand => ({
  buffer: o.buffer,
  dtype: o.dtype,
  offset: at.offset,
  strides: at.strides,
})
