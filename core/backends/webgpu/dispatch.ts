/**
 * What lowering a kernel gives: compute dispatches over plan buffers and scratch. Code depends on `key` alone; sizes,
 * strides, offsets and scalars travel in a uniform buffer (`params`).
 */
import { type DType, dtypeInfo } from '../../dtype.ts'
import type { KernelScalar, PlanBuffer } from '../../plan/kernel.ts'

/** A 32-bit word of a dispatch's uniform struct; a scalar is filled in at every run. */
export type ParamWord =
  | { readonly kind: 'i32'; readonly value: number }
  | { readonly kind: 'f32'; readonly value: number }
  | { readonly kind: 'scalar'; readonly slot: number; readonly type: 'f32' | 'i32' }

export const int = (value: number): ParamWord => ({ kind: 'i32', value })
export const slotOf = (s: KernelScalar): ParamWord => ({ kind: 'scalar', slot: s.slot, type: s.type })

/** WGSL element type of a storage buffer; 16-bit floats come as pairs in u32 words. */
export type ElementType = 'f32' | 'i32' | 'u32'

export const elementType = (dtype: DType): ElementType =>
  dtype === 'float32' ? 'f32' : dtype === 'int32' ? 'i32' : 'u32'

/** A range of a plan buffer (or of scratch: numbers from `plan.buffers.length` up) that a dispatch binds. */
export interface BufferUse {
  /** The variable in WGSL. */
  readonly name: string
  readonly buffer: number
  readonly element: ElementType
  readonly access: 'read' | 'read_write'
  /** A multiple of 256. */
  readonly byteOffset: number
  readonly bytes: number
}

export interface Dispatch {
  /** Names the code: equal keys mean equal WGSL. */
  readonly key: string
  readonly label: string
  /** Fields of the uniform struct `p`, in order; lowering gives equal keys the same names and types. */
  readonly params: Readonly<Record<string, ParamWord>>
  readonly buffers: readonly BufferUse[]
  /** Number of workgroups; the shader sees its own as the i32 `group`. */
  readonly groups: number
  readonly shader: ShaderBody
}

/** The parts of a compute shader that are not derived from the dispatch's params and buffers. */
export interface ShaderBody {
  readonly workgroupSize: number
  /** Module-scope declarations: workgroup variables and functions. */
  readonly declarations?: () => string
  /** Statements of `main`, which sees `group` (i32, workgroup number), `lid` (i32, thread in the workgroup) and `p`. */
  readonly body: () => string
}

export interface LowerLimits {
  /** Largest binding in bytes. */
  readonly maxBindingBytes: number
  readonly maxStorageBuffers: number
  /** False on software adapters: they take seconds to compile unrolled loops. */
  readonly unroll: boolean
}

/** A loop's bound: a constant, which compilers unroll, or a number that only the run knows. */
export const bound = (count: number, limits: Pick<LowerLimits, 'unroll'>): string =>
  limits.unroll ? `${count}` : `(${count} + (p.groups >> 31u))`

/** What lowering a kernel may ask for. */
export interface LowerContext {
  readonly limits: LowerLimits
  readonly buffers: readonly PlanBuffer[]
  /** Reserves scratch for the dispatches of this one kernel (undefined contents); gives its buffer number. */
  scratch(bytes: number): number
}

/** Lowest and highest element address of a strided view; `null` for one without elements. */
export function addressRange(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
): [first: number, last: number] | null {
  let first = offset
  let last = offset
  for (let d = 0; d < strides.length; d++) {
    // the result of a reduction over nothing is still an element
    if (strides[d] === 0) continue
    if (shape[d] === 0) return null
    const reach = (shape[d] - 1) * strides[d]
    if (reach < 0) first += reach
    else last += reach
  }
  return [first, last]
}

/** A range of bytes of a buffer, its start aligned for binding. */
export interface Window {
  readonly byteOffset: number
  readonly bytes: number
}

const BIND_ALIGN = 256

/** The smallest aligned window that holds the view. */
export function windowOf(
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  dtype: DType,
): Window {
  const range = addressRange(shape, strides, offset)
  if (!range) return { byteOffset: 0, bytes: 0 }
  const size = dtypeInfo(dtype).deviceBytes
  const byteOffset = Math.floor((range[0] * size) / BIND_ALIGN) * BIND_ALIGN
  return { byteOffset, bytes: (range[1] + 1) * size - byteOffset }
}

export const unionWindow = (a: Window, b: Window): Window => {
  if (a.bytes === 0) return b
  if (b.bytes === 0) return a
  const byteOffset = Math.min(a.byteOffset, b.byteOffset)
  return { byteOffset, bytes: Math.max(a.byteOffset + a.bytes, b.byteOffset + b.bytes) - byteOffset }
}
