/** `WebAssembly.Memory` with 32-bit or 64-bit addresses: JavaScript's interface differs (numbers, BigInts). */
import type { AddressBits } from './assembler.ts'

/** The constructor's argument and `grow` take integers of the width of the memory's addresses. */
interface Memory64 {
  grow(pages: bigint): bigint
}
interface Memory64Descriptor {
  readonly address: 'i64'
  readonly initial: bigint
  readonly maximum: bigint
  readonly shared: true
}

function makeMemory(initial: number, maximum: number, bits: AddressBits): WebAssembly.Memory {
  if (bits === 32) return new WebAssembly.Memory({ initial, maximum, shared: true })
  const limits: Memory64Descriptor = {
    address: 'i64',
    initial: BigInt(initial),
    maximum: BigInt(maximum),
    shared: true,
  }
  return new WebAssembly.Memory(limits as unknown as WebAssembly.MemoryDescriptor)
}

export function growMemory(memory: WebAssembly.Memory, pages: number, bits: AddressBits): void {
  if (bits === 32) memory.grow(pages)
  else (memory as unknown as Memory64).grow(BigInt(pages))
}

/**
 * Engines reserve the maximum as address space at once; where they refuse 4 GiB (some phones), less will do.
 * A module that declares the largest maximum accepts any smaller memory.
 */
export function createMemory(
  initialPages: number,
  maximumPages: number,
  bits: AddressBits,
): WebAssembly.Memory {
  for (let maximum = maximumPages; ; maximum >>= 1) {
    try {
      return makeMemory(initialPages, maximum, bits)
    } catch (error) {
      if (maximum <= 4096) throw error
    }
  }
}
