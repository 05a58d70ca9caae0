/** Reading tensors: to typed arrays, numbers, nested arrays, and text. */

import { computeDType, type TypedArray } from './dtype.ts'
import { readValue, readValueSync } from './evaluate.ts'
import { requestRoot } from './graph.ts'
import { cast } from './ops/cast.ts'
import { method } from './ops/define.ts'
import { formatShape } from './shape.ts'
import { Tensor } from './tensor.ts'

/** Weights kept in 16 bits are read as float32. */
const readable = (x: Tensor): Tensor => cast(x, computeDType(x.dtype))

/** The elements, row-major: Float32Array, Int32Array, or Uint8Array of 0 and 1 for bool. A copy. */
export const data = (x: Tensor): Promise<TypedArray> => readValue(readable(x))
export const dataSync = (x: Tensor): TypedArray => readValueSync(readable(x))

function single(x: Tensor): void {
  if (x.numel !== 1)
    throw new RangeError(
      `[item] needs one element, shape ${formatShape(x.shape)} has ${x.numel}: use data() or tolist()`,
    )
}

export async function item(x: Tensor): Promise<number> {
  single(x)
  return (await data(x))[0]
}
export function itemSync(x: Tensor): number {
  single(x)
  return dataSync(x)[0]
}

export type NestedNumbers = number | boolean | NestedNumbers[]

function nest(values: TypedArray, x: Tensor): NestedNumbers {
  let at = 0
  const isBool = x.dtype === 'bool'
  const build = (d: number): NestedNumbers => {
    if (d === x.ndim) {
      const v = values[at++]
      return isBool ? v !== 0 : v
    }
    return Array.from({ length: x.shape[d] }, () => build(d + 1))
  }
  return build(0)
}

/** Nested arrays of numbers (booleans for bool tensors), a single one for 0 dimensions. */
export const tolist = async (x: Tensor): Promise<NestedNumbers> => nest(await data(x), x)
export const tolistSync = (x: Tensor): NestedNumbers => nest(dataSync(x), x)

/** Makes this tensor a result of the next evaluation that computes it, so that it can be read afterwards. */
export function retain<T extends Tensor>(x: T): T {
  requestRoot(x.value)
  return x
}

const EDGE = 3
const SUMMARIZE_ABOVE = 1000

function formatNumber(v: number, x: Tensor): string {
  if (x.dtype === 'bool') return v ? 'true' : 'false'
  if (x.dtype === 'int32') return String(v)
  if (!Number.isFinite(v)) return Number.isNaN(v) ? 'nan' : v > 0 ? 'inf' : '-inf'
  const size = Math.abs(v)
  return size !== 0 && (size < 1e-4 || size >= 1e8) ? v.toExponential(4) : String(Number(v.toFixed(4)))
}

function formatValues(values: TypedArray, x: Tensor): string {
  const long = x.numel > SUMMARIZE_ABOVE
  const strides = x.shape.map((_, d) => x.shape.slice(d + 1).reduce((a, b) => a * b, 1))
  const build = (d: number, at: number, indent: string): string => {
    if (d === x.ndim) return formatNumber(values[at], x)
    const size = x.shape[d]
    const skip = long && size > 2 * EDGE
    const shown = skip
      ? [0, 1, 2, -1, size - 3, size - 2, size - 1]
      : Array.from({ length: size }, (_, i) => i)
    const parts = shown.map((i) => (i < 0 ? '...' : build(d + 1, at + i * strides[d], `${indent} `)))
    return `[${parts.join(d === x.ndim - 1 ? ', ' : `,\n${indent} `)}]`
  }
  return build(0, 0, '')
}

function header(x: Tensor): string {
  const grad = x.requiresGrad ? ', requiresGrad' : ''
  return `Tensor ${formatShape(x.shape)} ${x.dtype} ${x.device ?? 'host'}${grad}`
}

/** Shape, dtype, device, and the values where they can be had without waiting. */
export function format(x: Tensor): string {
  try {
    retain(x)
    return `${header(x)}\n${formatValues(dataSync(x), x)}`
  } catch (e) {
    return `${header(x)} (${e instanceof Error && /waiting/.test(e.message) ? 'not read: await x.print()' : String(e)})`
  }
}

/** Prints shape, dtype, device and values. */
export async function print(x: Tensor): Promise<void> {
  const values = await data(x)
  console.log(`${header(x)}\n${formatValues(values, x)}`)
}

declare module './tensor.ts' {
  interface Tensor {
    /** The elements, row-major, as a copy: Float32Array, Int32Array, or Uint8Array of 0 and 1 for bool. */
    data(): Promise<TypedArray>
    /** The same without waiting, on cpu and reference. */
    dataSync(): TypedArray
    /** The only element. */
    item(): Promise<number>
    itemSync(): number
    tolist(): Promise<NestedNumbers>
    tolistSync(): NestedNumbers
    /** Keeps the value when it is computed, so that it can be read after the next evaluation. */
    retain(): this
    print(): Promise<void>
  }
}
method('data', data)
method('dataSync', dataSync)
method('item', item)
method('itemSync', itemSync)
method('tolist', tolist)
method('tolistSync', tolistSync)
method('retain', retain)
method('print', print)

const describe = {
  value(this: Tensor) {
    return format(this)
  },
  configurable: true,
}
Object.defineProperty(Tensor.prototype, 'toString', describe)
Object.defineProperty(Tensor.prototype, Symbol.for('nodejs.util.inspect.custom'), describe)
