import type { DeviceBuffer } from '../../backend.ts'
import type { DType, TypedArray } from '../../dtype.ts'

/**
 * Memory of the reference backend, addressed by element. In f32 mode it is plain bytes under typed views. In float64 mode
 * every 32-bit element is a float64 number instead (which holds an int32 or a bool exactly), and 16-bit elements lie in an
 * array of their own; so there the bytes of one dtype cannot be read as another's.
 */
export class ReferenceBuffer implements DeviceBuffer {
  readonly bytes: number
  private readonly words: Float32Array | Float64Array
  private readonly ints: Int32Array | Float64Array
  private readonly halves: Uint16Array
  private readonly raw: Uint8Array | null

  constructor(bytes: number, float64: boolean) {
    this.bytes = bytes
    const count = Math.ceil(bytes / 4)
    if (float64) {
      this.words = this.ints = new Float64Array(count)
      this.halves = new Uint16Array(count * 2)
      this.raw = null
    } else {
      const memory = new ArrayBuffer(count * 4)
      this.words = new Float32Array(memory)
      this.ints = new Int32Array(memory)
      this.halves = new Uint16Array(memory)
      this.raw = new Uint8Array(memory)
    }
  }

  /** The whole buffer as elements of one dtype: 16-bit floats as their bits, all others as numbers. */
  elements(dtype: DType): Float32Array | Float64Array | Int32Array | Uint16Array {
    if (dtype === 'float32') return this.words
    return dtype === 'float16' || dtype === 'bfloat16' ? this.halves : this.ints
  }

  /** NaN in every word, so that a read before a write shows. */
  poison(): void {
    this.words.fill(NaN)
  }

  write(byteOffset: number, data: TypedArray): void {
    this.slice(byteOffset, data, 'upload').set(data)
  }

  read(byteOffset: number, into: TypedArray): void {
    into.set(this.slice(byteOffset, into, 'download'))
  }

  /** The part that holds as many elements as the host array, in the view that matches it. */
  private slice(byteOffset: number, host: TypedArray, op: string): TypedArray {
    const [view, elementBytes] = this.viewFor(host, op)
    const start = byteOffset / elementBytes
    if (!Number.isInteger(start) || start < 0 || start + host.length > view.length)
      throw new RangeError(
        `[${op}] ${host.length} elements of ${elementBytes} bytes at byte ${byteOffset} are not inside a buffer of ${this.bytes} bytes`,
      )
    return view.subarray(start, start + host.length)
  }

  private viewFor(host: TypedArray, op: string): [TypedArray, number] {
    if (host instanceof Float32Array || host instanceof Float64Array) return [this.words, 4]
    if (host instanceof Int32Array) return [this.ints, 4]
    if (host instanceof Uint16Array) return [this.halves, 2]
    if (this.raw) return [this.raw, 1]
    throw new TypeError(`[${op}] the float64 reference has no raw bytes: pass elements (bool as Int32Array)`)
  }
}

/** The value of a float16 with these bits. */
export function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

const word = new Uint32Array(1)
const wordAsFloat = new Float32Array(word.buffer)

/** The value of a bfloat16 with these bits. */
export function bfloat16Value(bits: number): number {
  word[0] = bits << 16
  return wordAsFloat[0]
}

/** How an element of a dtype becomes a number. */
export const widen = (dtype: DType): ((element: number) => number) =>
  dtype === 'float16' ? float16Value : dtype === 'bfloat16' ? bfloat16Value : (x) => x
