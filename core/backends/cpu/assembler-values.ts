/**
 * Typed values of the WebAssembly assembler: what an instruction leaves on the stack, as an object with methods.
 *
 * A value is code, not a result: it is evaluated where it is used, as often as it is used. `FunctionBuilder.let` names a
 * value, so that it is computed once.
 */
import type { Address } from './assembler-address.ts'
import type { Code } from './assembler-code.ts'
import type { F32, I32 } from './assembler-scalars.ts'
import type { F32x4, I32x4 } from './assembler-vectors.ts'

export type Value = I32 | F32 | F32x4 | I32x4 | Address

/** Other code of the same class as `value`. */
export function like<T extends Value>(value: T, code: Code): T {
  return new (value.constructor as new (code: Code) => T)(code)
}
