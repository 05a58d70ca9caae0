import { philoxStream } from '../../philox.ts'
import { numel } from '../../shape.ts'
import type { CallFunction } from './calls.ts'

export const philox: CallFunction = ({ scalars: [key0, key1, counter0, counter1], outputs }) => {
  const word = philoxStream(key0, key1, counter0, counter1)
  return [Float64Array.from({ length: numel(outputs[0]) }, (_, e) => word(e) | 0)]
}
