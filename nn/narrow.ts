/** float32 to the 16-bit formats that weights may be kept in: rounded to nearest, ties to even. */

const bits = new Uint32Array(1)
const float = new Float32Array(bits.buffer)

function bfloat16Bits(x: number): number {
  float[0] = x
  const b = bits[0]
  // adding to a NaN could carry it into infinity
  return Number.isNaN(x) ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16
}

function float16Bits(x: number): number {
  float[0] = x
  const sign = (bits[0] >>> 16) & 0x8000
  const size = Math.abs(float[0])
  if (Number.isNaN(x)) return sign | 0x7e00
  if (size >= 65520) return sign | 0x7c00
  // the spacing of float16 around `size`: 2^-10 of its power of two, 2^-24 for subnormal numbers
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1)))
  const steps = roundToEven(size / 2 ** (exponent - 10))
  return size < 2 ** -14 ? sign | steps : sign | (((exponent + 14) << 10) + steps)
}

function roundToEven(x: number): number {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}

/** The bits of each value in `dtype`. */
export function narrowFloats(values: ArrayLike<number>, dtype: 'float16' | 'bfloat16'): Uint16Array {
  const toBits = dtype === 'bfloat16' ? bfloat16Bits : float16Bits
  const out = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) out[i] = toBits(values[i])
  return out
}
