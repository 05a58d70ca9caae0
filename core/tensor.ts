/** The handle that users hold, and how an op makes new ones. Methods are added by the files in `ops/` and beside this one. */
import type { DeviceName } from './backend.ts'
import { callSite } from './debug.ts'
import { computeDType, type DType, dtypeInfo, isFloat, type TypedArray } from './dtype.ts'
import { boundChain, deviceOf, hostValue, Node, type Value, type Write } from './graph.ts'
import { modes } from './modes.ts'
import type { Attrs, Op } from './op.ts'
import { numel, type Shape } from './shape.ts'

/** Nested arrays of numbers or booleans. */
export type Nested = number | boolean | readonly Nested[]

/**
 * An array of numbers with a shape and a dtype, on a device. Calling an op records it; reading (`data`, `item`, `tolist`)
 * computes. There is nothing to dispose: a handle of an intermediate owns no memory.
 */
export class Tensor {
  /** What the handle stands for; in-place methods rebind it. */
  protected bound: Value

  constructor(value: Value) {
    this.bound = value
  }

  /** @internal The graph value behind the handle. */
  get value(): Value {
    return this.bound
  }

  /** @internal Binds the handle to another value: what every in-place method comes down to. */
  rebind(value: Value): void {
    this.bound = value
  }

  /** Sizes, outermost dimension first. */
  get shape(): Shape {
    return this.value.shape
  }

  get dtype(): DType {
    return this.value.dtype
  }

  /** The device it is bound to, or null while it is host data or made of host data only. */
  get device(): DeviceName | null {
    return deviceOf(this.value)
  }

  /** Number of dimensions. */
  get ndim(): number {
    return this.shape.length
  }

  /** Number of elements. */
  get numel(): number {
    return numel(this.shape)
  }

  /** Whether gradients flow to or through this tensor. */
  get requiresGrad(): boolean {
    return this.value.requiresGrad
  }

  /** The size of one dimension (negative counts from the end), or all of them. */
  size(): Shape
  size(dim: number): number
  size(dim?: number): Shape | number {
    if (dim === undefined) return this.shape
    const d = dim < 0 ? dim + this.ndim : dim
    if (d < 0 || d >= this.ndim)
      throw new RangeError(`[size] dim ${dim} is out of range for a tensor with ${this.ndim} dimensions`)
    return this.shape[d]
  }

  /**
   * Makes this leaf collect gradients (PyTorch's `requires_grad_`). In place.
   * @throws for integer and bool tensors, and for results of ops
   */
  requiresGrad_(on = true): this {
    if (on && this.dtype !== 'float32')
      throw new TypeError(`[requiresGrad_] only float32 tensors can require gradients, not ${this.dtype}`)
    if (this.value.node && this.value.requiresGrad !== on && this.value.node.writes.length === 0 && !on)
      throw new Error('[requiresGrad_] only leaves can change it: use detach()')
    this.value.requiresGrad = on
    return this
  }
}

/** Observers of every new node: eager mode evaluates, the module tracer notes names. */
type NodeObserver = (node: Node) => void
const observers: NodeObserver[] = []
export const onNode = (observer: NodeObserver): void => {
  observers.push(observer)
}

/** The one device that all bound inputs share; null where none is bound. */
function commonDevice(op: string, inputs: readonly Value[]): DeviceName | null {
  let device: DeviceName | null = null
  for (const v of inputs) {
    const d = deviceOf(v)
    if (d === null || d === device) continue
    if (device !== null)
      throw new Error(`[${op}] tensors are on ${device} and on ${d}: move one with await x.to('${device}')`)
    device = d
  }
  return device
}

/** Records a node. All checks of shapes and dtypes are done by the caller, so that errors point at the user's line. */
export function record(
  op: Op,
  inputs: readonly Value[],
  attrs: Attrs,
  scalars: readonly number[],
  outputs: readonly { shape: Shape; dtype: DType }[],
  writes?: readonly Write[],
): Node {
  const { anomaly, eager, grad } = modes()
  const node = new Node({
    op,
    inputs,
    attrs,
    scalars,
    outputs,
    device: commonDevice(op.name, inputs),
    where: callSite(anomaly || eager),
    writes,
  })
  if (op.grad && grad && inputs.some((v) => v.requiresGrad))
    for (const o of node.outputs) if (o.dtype === 'float32') o.requiresGrad = true
  boundChain(node)
  for (const observe of observers) observe(node)
  return node
}

/** Records a node with one output and gives its handle. */
export function apply(
  op: Op,
  inputs: readonly Tensor[],
  shape: Shape,
  dtype: DType,
  attrs: Attrs = {},
  scalars: readonly number[] = [],
): Tensor {
  const values = inputs.map((t) => t.value)
  return new Tensor(record(op, values, attrs, scalars, [{ shape, dtype }]).outputs[0])
}

const flatten = (data: Nested, out: number[], shape: number[], depth: number): void => {
  if (!Array.isArray(data)) {
    if (depth !== shape.length)
      throw new RangeError('[tensor] nested arrays are ragged: every row needs the same length')
    out.push(Number(data))
    return
  }
  if (depth === shape.length) {
    if (out.length > 0)
      throw new RangeError('[tensor] nested arrays are ragged: every row needs the same length')
    shape.push(data.length)
  } else if (shape[depth] !== data.length)
    throw new RangeError(
      `[tensor] nested arrays are ragged: a row has ${data.length} entries, not ${shape[depth]}`,
    )
  for (const item of data) flatten(item, out, shape, depth + 1)
}

const first = (data: Nested): number | boolean | undefined =>
  Array.isArray(data) ? (data.length ? first(data[0]) : undefined) : (data as number | boolean)

const hasFraction = (values: readonly number[]): boolean => values.some((x) => !Number.isInteger(x))

export interface TensorOptions {
  dtype?: DType
  requiresGrad?: boolean
}

/**
 * A tensor from numbers, nested arrays, or a typed array with a shape. Without `dtype`: booleans give bool, typed arrays
 * their own (Float32Array, Int32Array), and numbers float32.
 * @throws RangeError for ragged rows or a shape that does not fit
 */
export function tensor(data: Nested | TypedArray, options?: TensorOptions & { shape?: Shape }): Tensor
export function tensor(data: Nested | TypedArray, shape: Shape, options?: TensorOptions): Tensor
export function tensor(
  data: Nested | TypedArray,
  shapeOrOptions: Shape | (TensorOptions & { shape?: Shape }) = {},
  rest: TensorOptions = {},
): Tensor {
  const options: TensorOptions & { shape?: Shape } = Array.isArray(shapeOrOptions)
    ? { ...rest, shape: shapeOrOptions as Shape }
    : (shapeOrOptions as TensorOptions & { shape?: Shape })
  let values: ArrayLike<number>
  let natural: Shape
  let dtype = options.dtype
  if (ArrayBuffer.isView(data)) {
    values = data
    natural = [data.length]
    dtype ??= data instanceof Int32Array ? 'int32' : data instanceof Uint8Array ? 'bool' : 'float32'
  } else {
    const out: number[] = []
    const found: number[] = []
    flatten(data, out, found, 0)
    values = out
    natural = found
    dtype ??= typeof first(data) === 'boolean' ? 'bool' : 'float32'
    if (dtype === 'int32' && hasFraction(out))
      throw new TypeError('[tensor] int32 tensors take whole numbers')
  }
  const shape = options.shape ?? natural
  if (numel(shape) !== values.length)
    throw new RangeError(`[tensor] ${values.length} elements do not fill shape [${shape.join(',')}]`)
  const host = toHostArray(values, dtype)
  const t = new Tensor(hostValue(host, [...shape], dtype))
  return options.requiresGrad ? t.requiresGrad_() : t
}

/** A host array of the dtype; always a copy, so that later changes by the caller are not seen. */
export function toHostArray(values: ArrayLike<number>, dtype: DType): TypedArray {
  const info = dtypeInfo(dtype)
  if (info.isStorageOnly && !(values instanceof Uint16Array))
    throw new TypeError(
      `[tensor] ${dtype} is storage for weights: pass its bits as a Uint16Array, or use x.to('${dtype}')`,
    )
  const out = new info.hostArray(values.length)
  if (dtype === 'bool') for (let i = 0; i < values.length; i++) out[i] = values[i] ? 1 : 0
  else out.set(values as ArrayLike<number>)
  return out
}

/** The dtype in which a Python number would join an operand: PyTorch's rule for scalars. */
export function scalarResultType(x: Tensor, n: number): 'float32' | 'int32' | 'bool' {
  const own = computeDType(x.dtype)
  if (isFloat(own)) return 'float32'
  return Number.isInteger(n) ? 'int32' : 'float32'
}
