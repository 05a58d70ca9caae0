/** What the hand-written kernels share: operands as bindings, common dispatch shapes, pieces of WGSL. */
import { type DType, dtypeInfo } from '../../../dtype.ts'
import type { CallKernel, CallOperand } from '../../../plan/kernel.ts'
import { numel } from '../../../shape.ts'
import {
  type BufferUse,
  type Dispatch,
  elementType,
  int,
  type LowerContext,
  type LowerLimits,
  type ParamWord,
  windowOf,
} from '../dispatch.ts'

export type CallShape = Pick<CallKernel, 'name' | 'inputs' | 'outputs' | 'attrs'>

export interface CallImplementation {
  lower(kernel: CallKernel, ctx: LowerContext): Dispatch[]
  /** Default: everything. */
  supports?(call: CallShape, limits: LowerLimits): boolean
}

/** An operand bound under a name, its offset counted from the start of the binding. */
export interface Bound {
  readonly use: BufferUse
  /** In elements from the start of the bound window. */
  readonly offset: number
  readonly dtype: DType
}

export function bind(
  name: string,
  o: CallOperand,
  ctx: LowerContext,
  access: 'read' | 'read_write' = 'read',
): Bound {
  const window = windowOf(o.shape, o.strides, o.offset, o.dtype)
  if (window.bytes > ctx.limits.maxBindingBytes)
    throw new RangeError(
      `[webgpu] a tensor of shape [${o.shape.join(',')}] takes ${window.bytes} bytes in one kernel, and the adapter binds ${ctx.limits.maxBindingBytes}: use a smaller batch or the device cpu`,
    )
  return {
    use: { name, buffer: o.buffer, element: elementType(o.dtype), access, ...window },
    offset: o.offset - window.byteOffset / dtypeInfo(o.dtype).deviceBytes,
    dtype: o.dtype,
  }
}

export const output = (name: string, o: CallOperand, ctx: LowerContext): Bound =>
  bind(name, o, ctx, 'read_write')

/** Scratch of f32 or i32 words under a name. */
export const scratchUse = (
  name: string,
  buffer: number,
  words: number,
  access: 'read' | 'read_write',
  element: 'f32' | 'i32' = 'f32',
): BufferUse => ({ name, buffer, element, access, byteOffset: 0, bytes: words * 4 })

/** WGSL of element `index` of a bound float operand as f32, whatever its storage. */
export function element(b: Bound, index: string): string {
  const { name } = b.use
  if (b.dtype === 'float16') return `halfAt(${name}[(${index}) >> 1u], ${index})`
  if (b.dtype === 'bfloat16') return `bfloatAt(${name}[(${index}) >> 1u], ${index})`
  return `${name}[${index}]`
}

/** Rows of a contiguous tensor: all leading dimensions merged. */
export const rowsOf = (shape: readonly number[]): { rows: number; columns: number } => {
  const columns = shape.length === 0 ? 1 : shape[shape.length - 1]
  return { rows: shape.length === 0 ? 1 : numel(shape.slice(0, -1)), columns }
}

/** Elements `start` to `start + count` of a contiguous tensor, as [count]. */
export const flatSlice = (o: CallOperand, start: number, count: number): CallOperand => ({
  ...o,
  shape: [count],
  strides: [1],
  offset: o.offset + start,
})

/** Rows `start` to `start + count` of a contiguous tensor with rows of `columns`. */
export const rowSlice = (o: CallOperand, columns: number, start: number, count: number): CallOperand =>
  flatSlice(o, start * columns, count * columns)

export const bytesOf = (o: CallOperand): number => windowOf(o.shape, o.strides, o.offset, o.dtype).bytes

/** Threads of a workgroup that works on a row of `columns`. */
export const rowWorkgroup = (columns: number): number => (columns <= 256 ? 64 : 256)

const TREE = {
  sumAll: (a: string, b: string) => `${a} + ${b}`,
  maxAll: (a: string, b: string) => `maxNan(${a}, ${b})`,
} as const

/** Functions `sumAll(x, lid)` and `maxAll(x, lid)`: a value of every thread combined in a tree, given to all. */
export const treeFunctions = (size: number, names: readonly (keyof typeof TREE)[]): string =>
  `var<workgroup> partials: array<f32, ${size}>;
${names
  .map(
    (name) => `fn ${name}(x: f32, lid: i32) -> f32 {
  partials[lid] = x;
  workgroupBarrier();
  for (var half = ${size / 2}; half > 0; half /= 2) {
    if (lid < half) { partials[lid] = ${TREE[name]('partials[lid]', 'partials[lid + half]')}; }
    workgroupBarrier();
  }
  let result = partials[0];
  workgroupBarrier();
  return result;
}`,
  )
  .join('\n')}
`

/** One thread for each of `total` elements: `body` sees `element`. */
export function elementwise(d: {
  key: string
  label: string
  total: number
  params: Record<string, ParamWord>
  buffers: readonly BufferUse[]
  body: () => string
}): Dispatch {
  const workgroupSize = 256
  return {
    key: d.key,
    label: d.label,
    params: { total: int(d.total), ...d.params },
    buffers: d.buffers,
    groups: Math.ceil(d.total / workgroupSize),
    shader: {
      workgroupSize,
      body: () => `  let element = group * ${workgroupSize} + lid;
  if (element >= p.total) { return; }
${d.body()}`,
    },
  }
}

/** The kernel cut into row ranges so that every range binds; `at` lowers one range. */
export function byRows(
  rows: number,
  bytesPerRow: number,
  ctx: LowerContext,
  at: (start: number, count: number) => Dispatch[],
): Dispatch[] {
  if (rows === 0) return []
  // the window of a range starts at a multiple of 256 bytes before it
  const most = Math.max(1, Math.floor((ctx.limits.maxBindingBytes - 256) / Math.max(1, bytesPerRow)))
  const out: Dispatch[] = []
  for (let start = 0; start < rows; start += most) out.push(...at(start, Math.min(most, rows - start)))
  return out
}
