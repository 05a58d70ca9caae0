/** Matrix products: one kernel that takes any strided views, so transposes and broadcast batches cost nothing. */
import type { CallOp } from '../op.ts'
import { broadcastShapes, formatShape, type Shape } from '../shape.ts'
import { record, Tensor } from '../tensor.ts'
import { permuteView, reshapeView } from '../view.ts'
import { cast } from './cast.ts'
import { method } from './define.ts'
import { expand, isPermuted, reshape, sumTo, transpose } from './views.ts'

const rowsOf = (shape: Shape): number => shape.slice(0, -1).reduce((p, s) => p * s, 1)

/** [..., K] as [rows, K]. */
const asRows = (x: Tensor): Tensor => reshape(x, [rowsOf(x.shape), x.shape.at(-1)!])

const flip = (x: Tensor): Tensor => transpose(x, -1, -2)

const matmulOp: CallOp = {
  kind: 'call',
  name: 'matmul',
  call: 'matmul',
  strided: [0, 1],
  scalarTypes: () => [],
  // a product by parts that was transposed on the way computes the gradient transposed as well, to lie as the operand does
  grad: ({ dy, inputs: [a, b, bias], needs }) => [
    needs[0] ? (isPermuted(a) ? flip(product(b, flip(dy))) : product(dy, flip(b))) : null,
    needs[1] ? (isPermuted(b) ? flip(product(flip(dy), a)) : product(flip(a), dy)) : null,
    ...(bias ? [needs[2] ? sumTo(dy, bias.shape) : null] : []),
  ],
}

/** [B..., M, K] x [B..., K, N] with equal batch sizes (at most 3 dimensions after merging). */
function product(a: Tensor, b: Tensor): Tensor {
  const shape = [...a.shape.slice(0, -1), b.shape.at(-1)!]
  const outputs = [{ shape, dtype: 'float32' as const }]
  return new Tensor(record(matmulOp, [a.value, b.value], { bias: false }, [], outputs).outputs[0])
}

/** One matrix for all rows: a single tall product, whatever the dimensions of x. */
const rowsOp: CallOp = {
  kind: 'call',
  name: 'matmul.rows',
  call: 'matmul',
  strided: [0, 1],
  seenInput: (view, i, attrs) => {
    if (i === 0) return reshapeView(view, [rowsOf(view.shape), view.shape.at(-1)!])
    return i === 1 && attrs.transposed ? permuteView(view, [1, 0]) : view
  },
  seenShape: (shape) => [rowsOf(shape), shape.at(-1)!],
  scalarTypes: () => [],
  grad: ({ dy, inputs: [x, weight, bias], attrs, needs }) => {
    const rows = needs[1] || needs[2] ? asRows(dy) : dy
    return [
      needs[0] ? times(dy, weight, !attrs.transposed) : null,
      // in the order in which the weight lies, so that it is written straight into the weight's gradient
      needs[1]
        ? attrs.transposed
          ? product(flip(rows), asRows(x))
          : isPermuted(weight)
            ? flip(product(flip(rows), asRows(x)))
            : product(flip(asRows(x)), rows)
        : null,
      ...(bias ? [needs[2] ? sumTo(rows, bias.shape) : null] : []),
    ]
  },
}

/** x [..., K] times a matrix [K, N], or [N, K] where it is `transposed`, plus a bias [N]: [..., N]. */
function times(x: Tensor, weight: Tensor, transposed: boolean, bias?: Tensor | null): Tensor {
  const shape = [...x.shape.slice(0, -1), weight.shape[transposed ? 0 : 1]]
  const inputs = bias ? [x.value, weight.value, bias.value] : [x.value, weight.value]
  const outputs = [{ shape, dtype: 'float32' as const }]
  return new Tensor(record(rowsOp, inputs, { bias: Boolean(bias), transposed }, [], outputs).outputs[0])
}

function checkInner(a: Shape, b: Shape): void {
  const k = a[a.length - 1]
  const other = b.length === 1 ? b[0] : b[b.length - 2]
  if (k !== other)
    throw new RangeError(
      `[matmul] shapes ${formatShape(a)} and ${formatShape(b)} do not align: ${k} != ${other} (dim ${a.length - 1} of a, dim ${Math.max(0, b.length - 2)} of b)`,
    )
}

/**
 * Matrix product in the manner of `torch.matmul`: vectors are promoted to matrices and squeezed again, batch dimensions
 * broadcast. `b` may be kept in float16 or bfloat16; the result is float32.
 * @throws RangeError when the inner sizes differ
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  if (a.ndim === 0 || b.ndim === 0)
    throw new RangeError('[matmul] needs at least one dimension on both sides: use mul')
  checkInner(a.shape, b.shape)
  const left = a.ndim === 1 ? reshape(a, [1, ...a.shape]) : a
  const right = b.ndim === 1 ? reshape(b, [...b.shape, 1]) : b
  const out = batched(widened(left), right)
  const shape = [...out.shape]
  if (b.ndim === 1) shape.splice(-1, 1)
  if (a.ndim === 1) shape.splice(b.ndim === 1 ? -1 : -2, 1)
  return reshape(out, shape)
}

const widened = (x: Tensor): Tensor => (x.dtype === 'float32' ? x : cast(x, 'float32'))

function batched(a: Tensor, right: Tensor): Tensor {
  const b = right.dtype === 'float16' || right.dtype === 'bfloat16' ? right : widened(right)
  if (b.ndim === 2) return times(a, b, false)
  const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2))
  const x = expand(a, [...batch, ...a.shape.slice(-2)])
  const y = expand(b, [...batch, ...b.shape.slice(-2)])
  if (batch.length <= 3) return product(x, y)
  const merged = batch.reduce((p, s) => p * s, 1)
  const out = product(reshape(x, [merged, ...x.shape.slice(-2)]), reshape(y, [merged, ...y.shape.slice(-2)]))
  return reshape(out, [...batch, ...out.shape.slice(-2)])
}

/**
 * x W^T + b: what `nn.Linear` computes. x: [..., in], weight: [out, in] (float32, float16 or bfloat16), bias: [out].
 * Gives [..., out].
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  if (x.shape.at(-1) !== weight.shape[1])
    throw new RangeError(
      `[linear] input ${formatShape(x.shape)} does not fit weight ${formatShape(weight.shape)}: ${x.shape.at(-1)} != ${weight.shape[1]} (last dim of input, dim 1 of weight)`,
    )
  return times(widened(x), weight, true, bias)
}

/** x W + b with W [in, out]: GPT-2's Conv1D. Gives [..., out]. */
export function affine(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  return times(widened(x), weight, false, bias)
}

declare module '../tensor.ts' {
  interface Tensor {
    matmul(other: Tensor): Tensor
  }
}
method('matmul', matmul)
