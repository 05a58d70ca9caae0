/**
 * Blocks of 32 elements with one scale. Each function writes one block, as ggml's `dequantize_row_*` (ggml-quants.c) defines
 * it; results are those of float32 arithmetic, since products of a half and a small integer are exact in it.
 */
import { halfTable } from './half.ts'

let half: Float32Array | undefined

/** A half-precision number at any place. */
export function halfAt(bytes: Uint8Array, at: number): number {
  half ??= halfTable() // at first use: most who import the hub read no GGUF
  return half[bytes[at] | (bytes[at + 1] << 8)]
}

/** Values of the 16 codes of the IQ4 types (ggml-common.h, `kvalues_iq4nl`). */
export const IQ4_VALUES = Int8Array.of(
  -127,
  -104,
  -83,
  -65,
  -49,
  -35,
  -22,
  -10,
  1,
  13,
  25,
  38,
  53,
  69,
  89,
  113,
)

export function q4_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 2 + i]
    out[to + i] = ((q & 15) - 8) * d
    out[to + 16 + i] = ((q >> 4) - 8) * d
  }
}

export function q4_1(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const m = halfAt(bytes, at + 2)
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 4 + i]
    out[to + i] = (q & 15) * d + m
    out[to + 16 + i] = (q >> 4) * d + m
  }
}

/** The fifth bits of the 32 codes. */
const highBits = (bytes: Uint8Array, at: number): number =>
  bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24)

export function q5_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const high = highBits(bytes, at + 2)
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 6 + i]
    out[to + i] = (((q & 15) | (((high >>> i) & 1) << 4)) - 16) * d
    out[to + 16 + i] = (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16) * d
  }
}

export function q5_1(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  const m = halfAt(bytes, at + 2)
  const high = highBits(bytes, at + 4)
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 8 + i]
    out[to + i] = ((q & 15) | (((high >>> i) & 1) << 4)) * d + m
    out[to + 16 + i] = ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) * d + m
  }
}

export function q8_0(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let i = 0; i < 32; i++) out[to + i] = ((bytes[at + 2 + i] << 24) >> 24) * d
}

export function iq4_nl(bytes: Uint8Array, at: number, out: Float32Array, to: number): void {
  const d = halfAt(bytes, at)
  for (let i = 0; i < 16; i++) {
    const q = bytes[at + 2 + i]
    out[to + i] = IQ4_VALUES[q & 15] * d
    out[to + 16 + i] = IQ4_VALUES[q >> 4] * d
  }
}
