/** What the assembler writes: instruction bytes and how numbers are encoded in them. */

/** Instruction bytes, nested so that composing values copies nothing. */
export type Code = readonly (number | Code | ByWidth)[]

/** Bytes that depend on the width of addresses, which is chosen when a module is written out. */
export interface ByWidth {
  readonly narrow: Code
  readonly wide: Code
}

/** An `address` is an i32 or an i64, as wide as the memory's addresses. */
export type ValueType = 'i32' | 'f32' | 'v128' | 'address'

export function unsignedLeb(value: number): number[] {
  const out: number[] = []
  let rest = value >>> 0
  do {
    const byte = rest & 0x7f
    rest >>>= 7
    out.push(rest === 0 ? byte : byte | 0x80)
  } while (rest !== 0)
  return out
}

export function signedLeb(value: number): number[] {
  const out: number[] = []
  let rest = value | 0
  for (;;) {
    const byte = rest & 0x7f
    rest >>= 7
    if ((rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0)) {
      out.push(byte)
      return out
    }
    out.push(byte | 0x80)
  }
}

/** As `signedLeb`, of an integer below 2^53 in magnitude. */
export function signedLeb64(value: number): number[] {
  const out: number[] = []
  for (let rest = value; ; ) {
    const byte = ((rest % 128) + 128) % 128
    rest = Math.floor(rest / 128)
    if ((rest === 0 && byte < 64) || (rest === -1 && byte >= 64)) {
      out.push(byte)
      return out
    }
    out.push(byte | 0x80)
  }
}

export const float32Bytes = (value: number): number[] => [...new Uint8Array(new Float32Array([value]).buffer)]

export const memoryArgument = (align: number, offset: number): Code => [align, unsignedLeb(offset)]

export const simd = (opcode: number, ...args: Code): Code => [args, 0xfd, unsignedLeb(opcode)]

export const simdLoad = (
  opcode: number,
  align: number,
  address: { readonly code: Code },
  offset: number,
): Code => [address.code, 0xfd, unsignedLeb(opcode), memoryArgument(align, offset)]

/** How a type is written in a module. */
export const TYPE_CODE: Record<ValueType, number | ByWidth> = {
  i32: 0x7f,
  f32: 0x7d,
  v128: 0x7b,
  address: { narrow: [0x7f], wide: [0x7e] },
}
