import type { SafetensorsDtype } from '../safetensors/dtype.ts'
import * as kQuants from './k-quants.ts'
import * as quants from './quants.ts'

/** Writes the elements of one block, which begins at `at` of `bytes`, to `out` from `to`. */
export type Dequantize = (bytes: Uint8Array, at: number, out: Float32Array, to: number) => void

/** How tensors of one type are stored: blocks of `elements` elements in `bytes` bytes. */
export interface GgmlType {
  readonly name: string
  readonly elements: number
  readonly bytes: number
  /** For types of plain numbers the same of safetensors, else the block's meaning. */
  readonly decode: SafetensorsDtype | Dequantize
}

const plain = (name: string, bytes: number, decode: SafetensorsDtype): GgmlType => ({
  name,
  elements: 1,
  bytes,
  decode,
})
const blocks = (name: string, elements: number, bytes: number, decode: Dequantize): GgmlType => ({
  name,
  elements,
  bytes,
  decode,
})

/** Types by the number that stands in files. Source: ggml's `ggml.h` and `ggml-common.h`. */
const TYPES: Readonly<Record<number, GgmlType>> = {
  0: plain('F32', 4, 'F32'),
  1: plain('F16', 2, 'F16'),
  2: blocks('Q4_0', 32, 18, quants.q4_0),
  3: blocks('Q4_1', 32, 20, quants.q4_1),
  6: blocks('Q5_0', 32, 22, quants.q5_0),
  7: blocks('Q5_1', 32, 24, quants.q5_1),
  8: blocks('Q8_0', 32, 34, quants.q8_0),
  10: blocks('Q2_K', 256, 84, kQuants.q2_K),
  11: blocks('Q3_K', 256, 110, kQuants.q3_K),
  12: blocks('Q4_K', 256, 144, kQuants.q4_K),
  13: blocks('Q5_K', 256, 176, kQuants.q5_K),
  14: blocks('Q6_K', 256, 210, kQuants.q6_K),
  15: blocks('Q8_K', 256, 292, kQuants.q8_K),
  20: blocks('IQ4_NL', 32, 18, quants.iq4_nl),
  23: blocks('IQ4_XS', 256, 136, kQuants.iq4_xs),
  24: plain('I8', 1, 'I8'),
  25: plain('I16', 2, 'I16'),
  26: plain('I32', 4, 'I32'),
  27: plain('I64', 8, 'I64'),
  28: plain('F64', 8, 'F64'),
  30: plain('BF16', 2, 'BF16'),
}

export function ggmlType(id: number): GgmlType | undefined {
  return Object.hasOwn(TYPES, id) ? TYPES[id] : undefined
}

export const ggmlTypeNames: readonly string[] = Object.values(TYPES).map(({ name }) => name)
