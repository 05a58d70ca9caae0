/**
 * Blocks of 256 elements whose groups of 16 or 32 have scales of their own, as ggml's `dequantize_row_*` (ggml-quants.c)
 * defines them. Each function writes one block.
 */
import { halfAt, IQ4_VALUES } from './quants.ts'

const signed = (byte: number): number => (byte << 24) >> 24

/** Scales and minima in 4 bits each, codes in 2: 16 scales, 64 bytes of codes, d, dmin. */
export function q2_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 80)
  const min = halfAt(bytes, at + 82)
  for (let group = 0; group < 16; group++) {
    const scale = bytes[at + group]
    const [dl, ml] = [d * (scale & 15), min * (scale >> 4)]
    const codes = at + 16 + (group >> 3) * 32 + (group & 1) * 16
    const shift = ((group >> 1) & 3) * 2
    for (let i = 0; i < 16; i++) out[to + group * 16 + i] = dl * ((bytes[codes + i] >> shift) & 3) - ml
  }
}

/** Codes in 3 bits: 32 bytes of high bits, 64 of low ones, 16 scales in 6 bits each, d. */
export function q3_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 108)
  const scales = at + 96
  for (let group = 0; group < 16; group++) {
    const low = group < 8 ? bytes[scales + group] & 15 : bytes[scales + group - 8] >> 4
    const high = (bytes[scales + 8 + (group & 3)] >> (2 * (group >> 2))) & 3
    const dl = d * ((low | (high << 4)) - 32)
    const codes = at + 32 + (group >> 3) * 32 + (group & 1) * 16
    const shift = ((group >> 1) & 3) * 2
    const highBits = at + (group & 1) * 16
    for (let i = 0; i < 16; i++) {
      const isHigh = (bytes[highBits + i] >> (group >> 1)) & 1
      out[to + group * 16 + i] = dl * (((bytes[codes + i] >> shift) & 3) - (isHigh ? 0 : 4))
    }
  }
}

/** Scale j of the eight that Q4_K and Q5_K pack into 12 bytes, in 6 bits each. */
function scale6(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j] & 63 : (bytes[at + j + 4] & 15) | ((bytes[at + j - 4] >> 6) << 4)
}

/** Minimum j of the same. */
function min6(bytes: Uint8Array, at: number, j: number): number {
  return j < 4 ? bytes[at + j + 4] & 63 : (bytes[at + j + 4] >> 4) | ((bytes[at + j] >> 6) << 4)
}

/** d, dmin, 8 scales and minima, codes in 4 bits. */
export function q4_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const min = halfAt(bytes, at + 2)
  for (let group = 0; group < 8; group++) {
    const dl = d * scale6(bytes, at + 4, group)
    const ml = min * min6(bytes, at + 4, group)
    const codes = at + 16 + (group >> 1) * 32
    const shift = (group & 1) * 4
    for (let i = 0; i < 32; i++) out[to + group * 32 + i] = dl * ((bytes[codes + i] >> shift) & 15) - ml
  }
}

/** As Q4_K, with 32 bytes of fifth bits before the codes. */
export function q5_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const min = halfAt(bytes, at + 2)
  for (let group = 0; group < 8; group++) {
    const dl = d * scale6(bytes, at + 4, group)
    const ml = min * min6(bytes, at + 4, group)
    const codes = at + 48 + (group >> 1) * 32
    const shift = (group & 1) * 4
    for (let i = 0; i < 32; i++) {
      const high = (bytes[at + 16 + i] >> group) & 1
      out[to + group * 32 + i] = dl * (((bytes[codes + i] >> shift) & 15) + 16 * high) - ml
    }
  }
}

/** Codes in 6 bits: 128 bytes of low bits, 64 of high ones, 16 scales, d. */
export function q6_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at + 208)
  for (let group = 0; group < 16; group++) {
    const dl = d * signed(bytes[at + 192 + group])
    const second = group >> 3 // half of the block
    const quarter = (group >> 1) & 3
    const low = at + second * 64 + (quarter & 1) * 32 + (group & 1) * 16
    const high = at + 128 + second * 32 + (group & 1) * 16
    for (let i = 0; i < 16; i++) {
      const code = (bytes[low + i] >> (quarter & 2 ? 4 : 0)) & 15
      out[to + group * 16 + i] = dl * ((code | (((bytes[high + i] >> (2 * quarter)) & 3) << 4)) - 32)
    }
  }
}

/** A float32 scale and codes of 8 bits; the sums behind them are for products only. */
export function q8_K(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = new DataView(bytes.buffer, bytes.byteOffset + at, 4).getFloat32(0, true)
  for (let i = 0; i < 256; i++) out[to + i] = d * signed(bytes[at + 4 + i])
}

/** d, 8 scales in 6 bits each, codes of IQ4 values. */
export function iq4_xs(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const highScales = bytes[at + 2] | (bytes[at + 3] << 8)
  for (let group = 0; group < 8; group++) {
    const low = (bytes[at + 4 + (group >> 1)] >> (4 * (group & 1))) & 15
    const dl = d * ((low | (((highScales >> (2 * group)) & 3) << 4)) - 32)
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + group * 16 + i]
      out[to + group * 32 + i] = dl * IQ4_VALUES[q & 15]
      out[to + group * 32 + 16 + i] = dl * IQ4_VALUES[q >> 4]
    }
  }
}
