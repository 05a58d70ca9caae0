import { toFloat32 } from '../safetensors/convert.ts'

let table: Float32Array | undefined

/** The value of a half-precision number by its bits: the scales of quantised blocks. */
export function halfTable(): Float32Array {
  table ??= toFloat32({
    name: 'half',
    dtype: 'F16',
    bytes: new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer),
  })
  return table
}
