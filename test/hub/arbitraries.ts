import fc from 'fast-check'
import type { SafetensorsDtype, TensorToWrite } from '../../hub/index.ts'

/** Bytes of one element, written down apart from the code under test; packed dtypes are tested by the goldens. */
const ELEMENT_BYTES: [SafetensorsDtype, number][] = [
  ['BOOL', 1],
  ['U8', 1],
  ['I8', 1],
  ['F8_E4M3', 1],
  ['I16', 2],
  ['U16', 2],
  ['F16', 2],
  ['BF16', 2],
  ['I32', 4],
  ['U32', 4],
  ['F32', 4],
  ['C64', 8],
  ['F64', 8],
  ['I64', 8],
  ['U64', 8],
]

export type TensorInMemory = TensorToWrite & { bytes: Uint8Array }

const tensor: fc.Arbitrary<TensorInMemory> = fc
  .record({
    name: fc.string({ unit: 'binary', maxLength: 12 }).filter((name) => name !== '__metadata__'),
    kind: fc.constantFrom(...ELEMENT_BYTES),
    shape: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 }),
  })
  .chain(({ name, kind: [dtype, size], shape }) => {
    const length = shape.reduce((product, dim) => product * dim, size)
    return fc
      .uint8Array({ minLength: length, maxLength: length })
      .map((bytes) => ({ name, dtype, shape, bytes }))
  })

/** Some tensors of different names. */
export const tensors: fc.Arbitrary<TensorInMemory[]> = fc.uniqueArray(tensor, {
  selector: ({ name }) => name,
  maxLength: 8,
})

export const metadata = fc.dictionary(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), {
  maxKeys: 3,
})
