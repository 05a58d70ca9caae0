import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  bytesOf,
  fromFloat32,
  openSafetensors,
  type SafetensorsDtype,
  serializeSafetensors,
  toFloat32,
  toInt32,
  toTypedArray,
} from '../../hub/index.ts'

const tensor = (dtype: SafetensorsDtype, values: ArrayBufferView) => ({
  name: 't',
  dtype,
  bytes: bytesOf(values),
})
const everyHalf = Uint16Array.from({ length: 2 ** 16 }, (_, bits) => bits)

/** Float16Array of newer engines, an oracle of its own. */
const Float16 = (globalThis as { Float16Array?: new (buffer: ArrayBufferLike) => ArrayLike<number> })
  .Float16Array
const f16round = (Math as { f16round?: (x: number) => number }).f16round

describe('widening', () => {
  test.runIf(Float16)('every F16 pattern', () => {
    expect(toFloat32(tensor('F16', everyHalf))).toEqual(Float32Array.from(new Float16!(everyHalf.buffer)))
  })

  test('BF16 is the upper half of float32', () => {
    const wide = toFloat32(tensor('BF16', everyHalf))
    const bits = new Uint32Array(wide.buffer)
    expect(everyHalf.every((half, i) => bits[i] === half * 65536)).toBe(true)
  })

  test.each<[SafetensorsDtype, ArrayBufferView, number[]]>([
    ['F64', Float64Array.of(0.1, 1e300), [Math.fround(0.1), Number.POSITIVE_INFINITY]],
    ['BOOL', Uint8Array.of(0, 1, 7), [0, 1, 1]],
    ['I8', Int8Array.of(-3), [-3]],
    ['U16', Uint16Array.of(65535), [65535]],
    ['I64', BigInt64Array.of(-5n, 2n ** 40n), [-5, 2 ** 40]],
    ['F8_E4M3', Uint8Array.of(0x7e, 0x7f, 0x01, 0x80), [448, Number.NaN, 2 ** -9, -0]],
    ['F8_E5M2', Uint8Array.of(0x7b, 0x7c, 0xfd), [57344, Number.POSITIVE_INFINITY, Number.NaN]],
    ['F8_E4M3FNUZ', Uint8Array.of(0x7f, 0x80), [240, Number.NaN]],
    ['F8_E8M0', Uint8Array.of(0, 127, 255), [2 ** -127, 1, Number.NaN]],
  ])('%s', (dtype, values, expected) => {
    expect(toFloat32(tensor(dtype, values))).toEqual(Float32Array.from(expected))
  })

  test('in pieces straight into shared memory', async () => {
    const count = 3_000_001 // more than one piece
    const halves = Uint16Array.from({ length: count }, (_, i) => 0x3f80 + (i % 100))
    const stored = { name: 'w', dtype: 'BF16', shape: [count], bytes: bytesOf(halves) } as const
    const reader = await openSafetensors(await serializeSafetensors([stored]))
    const dest = new Float32Array(new SharedArrayBuffer(4 * count))
    await reader.readFloat32('w', dest)
    const whole = toFloat32(stored)
    expect(dest.every((value, i) => value === whole[i])).toBe(true)
    expect(whole[99]).toBe(1 + 99 / 128)
  })

  test('every BF16 pattern keeps its bits when it is read', async () => {
    const stored = { name: 'w', dtype: 'BF16', shape: [2 ** 16], bytes: bytesOf(everyHalf) } as const
    const reader = await openSafetensors(await serializeSafetensors([stored]))
    const bits = new Uint32Array((await reader.readFloat32('w')).buffer)
    expect(everyHalf.every((half, i) => bits[i] === half * 65536)).toBe(true)
  })

  test('bytes at an odd place are read right', () => {
    const bytes = new Uint8Array(9)
    bytes.set(bytesOf(Float32Array.of(1.5, -2)), 1)
    expect(toTypedArray({ dtype: 'F32', bytes: bytes.subarray(1) })).toEqual(Float32Array.of(1.5, -2))
  })

  test.each<SafetensorsDtype>(['C64', 'F4', 'F6_E2M3'])('%s has no float32', (dtype) => {
    expect(() => toFloat32(tensor(dtype, new Uint8Array(8)))).toThrow(`${dtype} has no conversion`)
  })
})

describe('int32', () => {
  test('64-bit integers are checked', () => {
    expect(toInt32(tensor('I64', BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n)))).toEqual(
      Int32Array.of(-(2 ** 31), 2 ** 31 - 1),
    )
    expect(() => toInt32(tensor('I64', BigInt64Array.of(1n, 2n ** 31n)))).toThrow('element 1 is 2147483648')
    expect(() => toInt32(tensor('U64', BigUint64Array.of(2n ** 64n - 1n)))).toThrow('does not fit int32')
    expect(() => toInt32(tensor('U32', Uint32Array.of(2 ** 32 - 1)))).toThrow('does not fit int32')
  })

  test('is refused for floats', () => {
    expect(() => toInt32(tensor('F32', Float32Array.of(1)))).toThrow('F32 is not an integer')
    expect(() => toInt32(tensor('F16', Uint16Array.of(1)))).toThrow('F16 is not an integer')
  })
})

describe('narrowing', () => {
  test('gives every narrow value back', () => {
    for (const dtype of ['F16', 'BF16'] as const) {
      const wide = toFloat32(tensor(dtype, everyHalf))
      const again = new Uint16Array(fromFloat32(wide, dtype).buffer)
      expect(everyHalf.every((bits, i) => again[i] === bits || Number.isNaN(wide[i]))).toBe(true)
      expect(toFloat32(tensor(dtype, again))).toEqual(wide)
    }
  })

  const narrowed = (x: number, dtype: 'F16' | 'BF16') =>
    toFloat32({ name: 't', dtype, bytes: fromFloat32(Float32Array.of(x), dtype) })[0]

  const float = fc.oneof(
    fc.float(),
    fc.float({ min: Math.fround(-7e4), max: Math.fround(7e4) }),
    fc.float({ min: Math.fround(-1e-4), max: Math.fround(1e-4) }),
  )

  test.runIf(f16round)('to F16 rounds like the engine', () => {
    fc.assert(
      fc.property(float, (x) => Object.is(narrowed(x, 'F16'), f16round!(x))),
      { numRuns: 20_000 },
    )
  })

  test('to BF16 takes the nearest, ties to even', () => {
    const bits = (x: number) => new Uint32Array(Float32Array.of(x).buffer)[0]
    fc.assert(
      fc.property(float.filter(Number.isFinite), (x) => {
        const below = bits(x) & 0xffff0000
        const rest = (bits(x) & 0xffff) / 65536
        const odd = (below >>> 16) & 1
        const up = rest > 0.5 || (rest === 0.5 && odd === 1)
        const expected = new Float32Array(Uint32Array.of((below >>> 0) + (up ? 65536 : 0)).buffer)[0]
        return Object.is(narrowed(x, 'BF16'), expected)
      }),
      { numRuns: 20_000 },
    )
  })
})
