/** How much a kernel computes and moves, counted from its operands. */
import { dtypeInfo } from '../dtype.ts'
import type { Expr } from '../expr.ts'
import { type CallKernel, forEachOperand, type Kernel, type MapKernel } from '../plan/kernel.ts'
import { numel } from '../shape.ts'

export interface Work {
  /** Floating-point and integer operations; an exponential or a square root counts as what it is expanded into. */
  readonly flops: number
  /** Bytes read and written, each operand once; what a cache spares is not known. */
  readonly bytes: number
}

/** What a run knows beyond the kernel: scalars, and integers that the host gave. */
export interface RunValues {
  scalar(slot: number): number
  /** Contents of a plan buffer, where they came from the host. */
  host(buffer: number): ArrayLike<number> | null
}

/** Operations of an expression, shared ones once. */
function operations(roots: readonly Expr[]): number {
  const seen = new Set<Expr>()
  const visit = (e: Expr): number => {
    if (seen.has(e)) return 0
    seen.add(e)
    return e.args.reduce((sum, arg) => sum + visit(arg), e.args.length > 0 ? 1 : 0)
  }
  return roots.reduce((sum, e) => sum + visit(e), 0)
}

/** Elements of an operand that are different from each other: a broadcast dimension has one. */
const distinct = (shape: readonly number[], strides: readonly number[]): number =>
  shape.reduce((count, size, d) => (strides[d] === 0 ? count : count * size), 1)

function bytesOf(k: Kernel): number {
  let bytes = 0
  forEachOperand(k, (o) => {
    if (o.buffer < 0) return
    const shape = 'shape' in o ? o.shape : (k.kind === 'call' ? k.epilogue!.map : k).shape
    bytes += distinct(shape, o.strides) * dtypeInfo(o.dtype).deviceBytes
  })
  return bytes
}

/** Operations an element, by what the plain algorithm does: the largest, the exponential, the sum, the division. */
const PER_ELEMENT: Partial<Record<CallKernel['name'], number>> = {
  softmax: 5,
  layerNorm: 8,
  layerNormBackward: 11,
  rmsNorm: 5,
  rmsNormBackward: 9,
  scatterAddRows: 1,
  argmax: 1,
  // ten rounds of two products, four exclusive ors and two additions make four words
  philox: 20,
}

/** Pairs of a query and a key that attention scores. */
function attentionPairs(k: CallKernel, run: RunValues): number {
  const first = k.name === 'attention' ? 0 : 1
  const [q, key] = [k.inputs[first], k.inputs[first + 1]]
  const [batch, heads, queries] = q.shape
  if (k.attrs.packed) {
    const ends = run.host(k.inputs.at(-1)!.buffer)
    let pairs = ends ? 0 : queries * queries
    for (let i = 1; ends && i < ends.length; i++) pairs += (ends[i] - ends[i - 1]) ** 2
    return (batch * heads * pairs) / (k.attrs.causal ? 2 : 1)
  }
  const keys = Math.min(key.shape[2], run.scalar(k.scalars[1].slot))
  // the last query sees all keys, each one before it one fewer
  const seen = k.attrs.causal ? keys - (Math.min(queries, keys) - 1) / 2 : keys
  return batch * heads * queries * seen
}

function callFlops(k: CallKernel, run: RunValues): number {
  const elements = numel((k.outputs[0] ?? k.inputs[0]).shape)
  if (k.name === 'matmul') return elements * (2 * k.inputs[0].shape.at(-1)! + (k.attrs.bias ? 1 : 0))
  // two products forward; backward computes the scores again and has four products of its own
  if (k.name === 'attention') return attentionPairs(k, run) * (4 * k.inputs[0].shape[3] + 5)
  if (k.name === 'attentionBackward') return attentionPairs(k, run) * (10 * k.inputs[1].shape[3] + 8)
  const counted = k.name === 'argmax' || k.name === 'scatterAddRows' ? numel(k.inputs[0].shape) : elements
  return counted * (PER_ELEMENT[k.name] ?? 0)
}

const mapFlops = (k: MapKernel): number => numel(k.shape) * operations(k.stores.map((s) => s.value))

/** Tables are read by row: as much as comes out of them. */
function callBytes(k: CallKernel): number {
  const all = bytesOf(k)
  if (k.name !== 'gatherRows' && k.name !== 'gather') return all
  const [table] = k.inputs
  const [out] = k.outputs
  const size = dtypeInfo(table.dtype).deviceBytes
  return all - distinct(table.shape, table.strides) * size + numel(out.shape) * size
}

export function workOf(k: Kernel, run: RunValues): Work {
  if (k.kind === 'call')
    return { flops: callFlops(k, run) + (k.epilogue ? mapFlops(k.epilogue.map) : 0), bytes: callBytes(k) }
  if (k.kind === 'map') return { flops: mapFlops(k), bytes: bytesOf(k) }
  const elements = numel(k.shape)
  const values = k.stores.map((s) => s.value)
  const kept = numel(k.shape.slice(0, k.shape.length - k.reducedRank))
  return { flops: elements * (operations([k.body]) + 1) + kept * operations(values), bytes: bytesOf(k) }
}
