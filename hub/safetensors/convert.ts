import { quote, SafetensorsError } from '../errors.ts'
import type { SafetensorsDtype } from './dtype.ts'

/**
 * Between the bytes of a tensor and numbers. The format is little-endian and so is every platform that runs us, so
 * typed arrays are laid over the bytes as they are.
 */

/** A tensor as it lies in a file. `bytes` may be a view on the file itself: copy before writing to it. */
export interface StoredTensor {
  readonly name: string
  readonly dtype: SafetensorsDtype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export type TensorArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | BigUint64Array
  | BigInt64Array
  | Float32Array
  | Float64Array

type ArrayConstructor = {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TensorArray
  readonly BYTES_PER_ELEMENT: number
}

/** The JavaScript array of a dtype. Floats that JavaScript lacks come as their bits. */
const ARRAYS: Partial<Record<SafetensorsDtype, ArrayConstructor>> = {
  I8: Int8Array,
  I16: Int16Array,
  U16: Uint16Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I32: Int32Array,
  U32: Uint32Array,
  F32: Float32Array,
  C64: Float32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  F64: Float64Array,
}

/**
 * The elements as the typed array of their dtype: F16 and BF16 as 16-bit patterns in a Uint16Array, C64 as pairs of
 * floats, BOOL, F8 and packed floats as bytes. A view on `bytes` where their alignment allows it, else a copy.
 */
export function toTypedArray({ dtype, bytes }: Pick<StoredTensor, 'dtype' | 'bytes'>): TensorArray {
  const View = ARRAYS[dtype]
  if (!View) return bytes
  const size = View.BYTES_PER_ELEMENT
  const aligned = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes)
  return new View(aligned.buffer, aligned.byteOffset, aligned.byteLength / size)
}

/** A minifloat: one sign bit, `exponent` bits, `mantissa` bits. */
interface FloatLayout {
  exponent: number
  mantissa: number
  bias: number
  /** `ieee`: the top exponent is Inf and NaN. `fn`: only all ones is NaN. `fnuz`: only minus zero is NaN. */
  special: 'ieee' | 'fn' | 'fnuz'
}

/** Sources: IEEE 754 for F16, OCP 8-bit floating point specification 1.0, and ONNX's float 8 page for FNUZ. */
const LAYOUTS: Partial<Record<SafetensorsDtype, FloatLayout>> = {
  F16: { exponent: 5, mantissa: 10, bias: 15, special: 'ieee' },
  F8_E5M2: { exponent: 5, mantissa: 2, bias: 15, special: 'ieee' },
  F8_E4M3: { exponent: 4, mantissa: 3, bias: 7, special: 'fn' },
  F8_E5M2FNUZ: { exponent: 5, mantissa: 2, bias: 16, special: 'fnuz' },
  F8_E4M3FNUZ: { exponent: 4, mantissa: 3, bias: 8, special: 'fnuz' },
}

function decodeMinifloat(bits: number, { exponent, mantissa, bias, special }: FloatLayout): number {
  const fraction = bits & ((1 << mantissa) - 1)
  const power = (bits >> mantissa) & ((1 << exponent) - 1)
  const sign = bits >> (mantissa + exponent) ? -1 : 1
  const top = power === (1 << exponent) - 1
  if (special === 'ieee' && top) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY
  if (special === 'fn' && top && fraction === (1 << mantissa) - 1) return Number.NaN
  if (special === 'fnuz' && sign < 0 && power === 0 && fraction === 0) return Number.NaN
  return power === 0
    ? sign * fraction * 2 ** (1 - bias - mantissa)
    : sign * (1 + fraction / 2 ** mantissa) * 2 ** (power - bias)
}

const tables = new Map<SafetensorsDtype, Float32Array>()

/** Value of every bit pattern of a 8-bit float or F16, made at first use. All of them are exact in float32. */
function decodeTable(dtype: SafetensorsDtype): Float32Array | undefined {
  let table = tables.get(dtype)
  if (table) return table
  const layout = LAYOUTS[dtype]
  if (layout) {
    const size = 2 ** (1 + layout.exponent + layout.mantissa)
    table = Float32Array.from({ length: size }, (_, bits) => decodeMinifloat(bits, layout))
  } else if (dtype === 'F8_E8M0') {
    // Only a power of two: no sign, no zero, 255 is NaN.
    table = Float32Array.from({ length: 256 }, (_, bits) => (bits === 255 ? Number.NaN : 2 ** (bits - 127)))
  } else return undefined
  tables.set(dtype, table)
  return table
}

type Conversion = Pick<StoredTensor, 'name' | 'dtype' | 'bytes'>

/**
 * The elements as float32: F16, BF16, F8 widened exactly, F64 and integers rounded to nearest, BOOL as 0 and 1.
 *
 * @param dest where to write; a new array without it. May be a view on shared memory.
 * @throws SafetensorsError for C64 and the packed dtypes F4 and F6, and for a `dest` of another length.
 */
export function toFloat32(tensor: Conversion, dest?: Float32Array): Float32Array {
  const { name, dtype, bytes } = tensor
  if (dtype === 'C64' || dtype === 'F4' || dtype.startsWith('F6_'))
    return refuse(name, `${dtype} has no conversion to float32`)
  const source = toTypedArray(tensor)
  const out = destination(name, dest, source.length, (length) => new Float32Array(length))
  const table = decodeTable(dtype)
  if (table) {
    const bits = source as Uint8Array | Uint16Array
    for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]]
  } else if (dtype === 'BF16') {
    const bits = source as Uint16Array
    const pattern = new Uint32Array(out.buffer, out.byteOffset, out.length)
    for (let i = 0; i < bits.length; i++) pattern[i] = bits[i] << 16
  } else if (dtype === 'BOOL') {
    for (let i = 0; i < bytes.length; i++) out[i] = bytes[i] ? 1 : 0
  } else if (source instanceof BigInt64Array || source instanceof BigUint64Array) {
    for (let i = 0; i < source.length; i++) out[i] = Number(source[i])
  } else out.set(source)
  return out
}

/**
 * The elements of an integer or BOOL tensor as int32. 64-bit integers are PyTorch's default, so checkpoints hold them
 * although their values are small.
 *
 * @throws SafetensorsError for a value outside of int32 and for a dtype that is not an integer.
 */
export function toInt32(tensor: Conversion, dest?: Int32Array): Int32Array {
  const { name, dtype, bytes } = tensor
  const source = toTypedArray(tensor)
  const isInteger = /^[IU]\d+$/.test(dtype) || dtype === 'BOOL'
  if (!isInteger || source instanceof Float32Array || source instanceof Float64Array)
    return refuse(name, `${dtype} is not an integer`)
  const out = destination(name, dest, source.length, (length) => new Int32Array(length))
  if (dtype === 'BOOL') {
    for (let i = 0; i < bytes.length; i++) out[i] = bytes[i] ? 1 : 0
    return out
  }
  for (let i = 0; i < source.length; i++) {
    const value = Number(source[i]) // what is inexact here is out of range below
    if (value !== (value | 0)) refuse(name, `element ${i} is ${source[i]}, which does not fit int32`)
    out[i] = value
  }
  return out
}

/** Booleans as bytes 0 and 1. The format stores any byte, and every one but 0 is true. */
export function toBool({ name, dtype, bytes }: Conversion): Uint8Array {
  if (dtype !== 'BOOL') return refuse(name, `${dtype} is not BOOL`)
  return Uint8Array.from(bytes, (byte) => (byte ? 1 : 0))
}

/** The bytes of a typed array or view, without copying them. */
export function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
}

/**
 * Float32 values as the bytes of a narrower dtype, rounded to nearest, ties to even, as PyTorch does; NaN stays NaN,
 * what is too large for F16 becomes infinite.
 */
export function fromFloat32(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array {
  if (dtype === 'F32') return bytesOf(values)
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const out = new Uint16Array(values.length)
  const narrow = dtype === 'BF16' ? bfloat16Bits : float16Bits
  for (let i = 0; i < bits.length; i++) out[i] = narrow(bits[i])
  return bytesOf(out)
}

function bfloat16Bits(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40 // rounding could carry a NaN into infinity
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

function float16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // NaN
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // 65520 and over round to infinity
  if (magnitude < 0x33000001) return sign // up to 2^-25 rounds to zero
  if (magnitude < 0x38800000) {
    // Subnormal in half precision: the mantissa with its hidden bit, shifted to units of 2^-24.
    const shift = 126 - (magnitude >>> 23)
    return sign | roundShift((magnitude & 0x7fffff) | 0x800000, shift)
  }
  return sign | roundShift(magnitude - 0x38000000, 13) // moves the bias from 127 to 15; a carry raises the exponent
}

/** `value / 2^shift`, rounded to nearest, ties to even. */
function roundShift(value: number, shift: number): number {
  const half = 1 << (shift - 1)
  const odd = (value >>> shift) & 1
  return (value + half - 1 + odd) >>> shift
}

function destination<T extends { length: number }>(
  name: string,
  dest: T | undefined,
  length: number,
  make: (n: number) => T,
): T {
  if (dest && dest.length !== length) refuse(name, `has ${length} elements, the destination ${dest.length}`)
  return dest ?? make(length)
}

function refuse(name: string, reason: string): never {
  throw new SafetensorsError(`[safetensors] tensor ${quote(name)}: ${reason}`)
}
