import { toFloat32 } from '../safetensors/convert.ts'

/** The values of all half-precision numbers by their bits: the scales of quantised blocks. */
export function halfTable(): Float32Array {
  return toFloat32({
    name: 'half',
    dtype: 'F16',
    bytes: new Uint8Array(Uint16Array.from({ length: 65536 }, (_, bits) => bits).buffer),
  })
}
