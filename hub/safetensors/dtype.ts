/**
 * The dtypes of the safetensors format, version 0.8, in the format's own order, with their size in bits.
 * The order matters: files are written largest dtype first, and within a size by descending place in this list.
 */
const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const

/** Name of an element type as it stands in a safetensors header. */
export type SafetensorsDtype = keyof typeof DTYPE_BITS

const DTYPES = Object.keys(DTYPE_BITS) as SafetensorsDtype[]
const RANK = new Map<string, number>(DTYPES.map((dtype, place) => [dtype, place]))

export function isSafetensorsDtype(name: string): name is SafetensorsDtype {
  return RANK.has(name)
}

/** Place of a dtype in the format's order; tensors are stored by descending rank. */
export function dtypeRank(dtype: SafetensorsDtype): number {
  return RANK.get(dtype)!
}

/**
 * Bytes that a tensor takes. Elements under a byte are packed without gaps between them.
 *
 * @returns the size, or the reason why there is none: dimensions whose product passes 2^64 (in the order given, as
 * the Rust crate computes it), or a size that does not end on a whole byte.
 */
export function tensorByteLength(dtype: SafetensorsDtype, shape: readonly number[]): number | string {
  const limit = 2 ** 64
  let elements = 1
  for (const dim of shape) {
    elements *= dim
    if (elements >= limit) return `shape ${formatShape(shape)} has more than 2^64 elements`
  }
  const bits = elements * DTYPE_BITS[dtype]
  if (bits >= limit) return `shape ${formatShape(shape)} takes more than 2^64 bits`
  if (bits % 8 !== 0) return `shape ${formatShape(shape)} of ${dtype} does not end on a whole byte`
  return bits / 8
}

/** Shape for messages, at most eight dimensions of it. */
export function formatShape(shape: readonly number[]): string {
  return shape.length <= 8
    ? `[${shape.join(',')}]`
    : `[${shape.slice(0, 8).join(',')},… ${shape.length} dims]`
}
