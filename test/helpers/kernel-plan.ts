/** Kernel plans by hand, for tests of backends. */
import { type DType, dtypeInfo, type TypedArray } from '../../core/dtype.ts'
import { type Expr, load } from '../../core/expr.ts'
import type {
  CallKernel,
  CallOperand,
  Combine,
  Kernel,
  KernelPlan,
  KernelScalar,
  PlanBuffer,
} from '../../core/plan/kernel.ts'
import { contiguousStrides, numel } from '../../core/shape.ts'
import type { View } from '../../core/view.ts'

export interface KernelCase {
  readonly name: string
  readonly plan: KernelPlan
  /** What the external buffer with binding i holds before the run, guards before and behind it included. */
  readonly contents: readonly { readonly dtype: DType; readonly data: TypedArray }[]
  readonly scalars: readonly number[]
  /** |got - expected| <= tolerance * (1 + |expected|) for floats; other dtypes must be equal. */
  readonly tolerance: number
  /** Inputs or results with NaN or infinity. */
  readonly special: boolean
}

/** Bytes before the data of every external buffer: the offset of its binding. */
export const GUARD_BYTES = 256

const DEVICE_ARRAYS = {
  float32: Float32Array,
  int32: Int32Array,
  bool: Int32Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
} as const

/** A tensor of a plan: an operand that views can be taken of. */
export interface PlanTensor extends CallOperand {}

/** A view of the same buffer, by the functions of core/view.ts. */
export const viewed = (t: PlanTensor, change: (v: View) => View): PlanTensor => ({ ...t, ...change(t) })

export interface LoopSpec {
  /** Tensors, all broadcast already to `shape`. */
  readonly loads?: readonly PlanTensor[]
  readonly scalars?: readonly KernelScalar[]
  readonly label?: string
}

/** Collects buffers and kernels of a plan. */
export class PlanBuilder {
  private readonly kernels: Kernel[] = []
  private readonly buffers: PlanBuffer[] = []
  private readonly contents: { dtype: DType; data: TypedArray }[] = []
  private readonly values: number[] = []

  private external(
    dtype: DType,
    shape: readonly number[],
    data: ArrayLike<number>,
    written: boolean,
  ): PlanTensor {
    const { deviceBytes } = dtypeInfo(dtype)
    const bytes = data.length * deviceBytes
    const padded = 2 * GUARD_BYTES + Math.ceil(bytes / 4) * 4
    const all = new DEVICE_ARRAYS[dtype](padded / deviceBytes).fill(77)
    all.set(data as ArrayLike<number> & TypedArray, GUARD_BYTES / deviceBytes)
    this.contents.push({ dtype, data: all })
    this.buffers.push({ kind: 'external', bytes, binding: this.contents.length - 1, written })
    return tensor(this.buffers.length - 1, dtype, shape)
  }

  /** A contiguous tensor with these elements: 16-bit floats as their bits. */
  input(dtype: DType, shape: readonly number[], data: ArrayLike<number>): PlanTensor {
    if (data.length !== numel(shape)) throw new RangeError(`${data.length} elements for [${shape}]`)
    return this.external(dtype, shape, data, false)
  }

  /** An input that kernels overwrite. */
  inPlace(dtype: DType, shape: readonly number[], data: ArrayLike<number>): PlanTensor {
    return this.external(dtype, shape, data, true)
  }

  /** A result that is compared. It starts as garbage: 77 in every element. */
  output(dtype: DType, shape: readonly number[]): PlanTensor {
    return this.external(dtype, shape, new Float32Array(numel(shape)).fill(77), true)
  }

  /** A tensor in the arena, from the next kernel to the last one. */
  temp(dtype: DType, shape: readonly number[]): PlanTensor {
    const bytes = numel(shape) * dtypeInfo(dtype).deviceBytes
    this.buffers.push({ kind: 'temp', bytes, firstUse: this.kernels.length, lastUse: this.kernels.length })
    return tensor(this.buffers.length - 1, dtype, shape)
  }

  scalar(value: number, type: 'f32' | 'i32' = 'f32'): KernelScalar {
    this.values.push(value)
    return { slot: this.values.length - 1, type }
  }

  map(shape: readonly number[], stores: readonly [PlanTensor, Expr][], spec: LoopSpec = {}): this {
    return this.kernel({
      kind: 'map',
      shape,
      loads: spec.loads ?? [],
      scalars: spec.scalars ?? [],
      stores: stores.map(([operand, value]) => ({ operand, value })),
      label: spec.label ?? 'map',
    })
  }

  reduce(
    combine: Combine,
    shape: readonly number[],
    reducedRank: number,
    body: Expr,
    stores: readonly [PlanTensor, Expr][],
    spec: LoopSpec = {},
  ): this {
    return this.kernel({
      kind: 'reduce',
      shape,
      reducedRank,
      combine,
      body,
      loads: spec.loads ?? [],
      scalars: spec.scalars ?? [],
      stores: stores.map(([operand, value]) => ({ operand, value })),
      label: spec.label ?? combine,
    })
  }

  call(
    name: CallKernel['name'],
    inputs: readonly PlanTensor[],
    outputs: readonly PlanTensor[],
    attrs: CallKernel['attrs'] = {},
    scalars: readonly KernelScalar[] = [],
  ): this {
    return this.kernel({ kind: 'call', name, inputs, outputs, attrs, scalars, label: name })
  }

  private kernel(k: Kernel): this {
    this.kernels.push(k)
    return this
  }

  build(name: string, options: { tolerance?: number; special?: boolean } = {}): KernelCase {
    for (const b of this.buffers) if (b.kind === 'temp') b.lastUse = this.kernels.length - 1
    return {
      name,
      plan: { kernels: this.kernels, buffers: this.buffers, scalarCount: this.values.length },
      contents: this.contents,
      scalars: this.values,
      tolerance: options.tolerance ?? 1e-5,
      special: options.special ?? false,
    }
  }
}

const tensor = (buffer: number, dtype: DType, shape: readonly number[]): PlanTensor => ({
  buffer,
  dtype,
  shape,
  strides: contiguousStrides(shape),
  offset: 0,
})

/** An operand whose address alone is used: offset + sum of index * stride. */
export const iota = (strides: readonly number[], offset = 0): PlanTensor => ({
  buffer: -1,
  dtype: 'int32',
  shape: [],
  strides,
  offset,
})

/** Loads 0, 1, 2, ... as f32 expressions, for the loads of a kernel in this order. */
export const f32Loads = (count: number): Expr[] => Array.from({ length: count }, (_, i) => load(i, 'f32'))

/** A reproducible stream of random numbers (mulberry32). */
export class Random {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** In [0, 1). */
  uniform(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  int(lo: number, hi: number): number {
    return lo + Math.floor(this.uniform() * (hi - lo + 1))
  }
  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)]
  }
  /** f32 numbers in [-range, range). */
  floats(count: number, range = 2): Float32Array {
    return Float32Array.from({ length: count }, () => (this.uniform() * 2 - 1) * range)
  }
  ints(count: number, lo: number, hi: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.int(lo, hi))
  }
  /** Bits of finite float16 or bfloat16 numbers of moderate size. */
  halves(count: number, dtype: 'float16' | 'bfloat16'): Uint16Array {
    // sign, an exponent around that of 1, any fraction
    const [exponentOf1, shift] = dtype === 'float16' ? [15, 10] : [127, 7]
    return Uint16Array.from(
      { length: count },
      () =>
        (this.int(0, 1) << 15) | ((exponentOf1 + this.int(-4, 1)) << shift) | this.int(0, (1 << shift) - 1),
    )
  }
}

/** A float32 input with random elements in [-range, range). */
export const floats = (b: PlanBuilder, r: Random, shape: readonly number[], range = 2): PlanTensor =>
  b.input('float32', shape, r.floats(numel(shape), range))

/** The dtype in which values of a scalar type are stored. */
export const DTYPE_OF = { f32: 'float32', i32: 'int32', bool: 'bool' } as const

/** A plan whose inputs are random. */
export class RandomPlan extends PlanBuilder {
  readonly random: Random

  constructor(seed: number) {
    super()
    this.random = new Random(seed)
  }
  floats(shape: readonly number[], range = 1): PlanTensor {
    return this.input('float32', shape, this.random.floats(numel(shape), range))
  }
  /** Random elements of any float dtype. */
  weights(dtype: DType, shape: readonly number[]): PlanTensor {
    if (dtype !== 'float16' && dtype !== 'bfloat16') return this.floats(shape)
    return this.input(dtype, shape, this.random.halves(numel(shape), dtype))
  }
  ids(shape: readonly number[], lo: number, hi: number): PlanTensor {
    return this.input('int32', shape, this.random.ints(numel(shape), lo, hi))
  }
}
