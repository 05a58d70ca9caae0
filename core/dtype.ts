/** Element types. `float16` and `bfloat16` are storage for weights: kernels widen them to float32 and never write them. */
export type DType = 'float32' | 'int32' | 'bool' | 'float16' | 'bfloat16'

/** Arrays that hold a dtype's elements on the host: bool as 0/1 bytes, float16 and bfloat16 as their bits. */
export type TypedArray = Float32Array | Int32Array | Uint8Array | Uint16Array | Float64Array

interface DTypeInfo {
  /** Bytes of one element in a device buffer. A bool takes a 32-bit word there (0 or 1), so that every kernel moves words. */
  readonly deviceBytes: number
  readonly isFloat: boolean
  /** Only dtypes of compute can be the result of an op. */
  readonly isStorageOnly: boolean
  readonly hostArray: new (length: number) => TypedArray
}

const INFO: Record<DType, DTypeInfo> = {
  float32: { deviceBytes: 4, isFloat: true, isStorageOnly: false, hostArray: Float32Array },
  int32: { deviceBytes: 4, isFloat: false, isStorageOnly: false, hostArray: Int32Array },
  bool: { deviceBytes: 4, isFloat: false, isStorageOnly: false, hostArray: Uint8Array },
  float16: { deviceBytes: 2, isFloat: true, isStorageOnly: true, hostArray: Uint16Array },
  bfloat16: { deviceBytes: 2, isFloat: true, isStorageOnly: true, hostArray: Uint16Array },
}

export const isDType = (name: string): name is DType => Object.hasOwn(INFO, name)

export const dtypeInfo = (dtype: DType): DTypeInfo => INFO[dtype]

export const isFloat = (dtype: DType): boolean => INFO[dtype].isFloat

/** The dtype an op computes in: the 16-bit storage types are widened to float32. */
export const computeDType = (dtype: DType): 'float32' | 'int32' | 'bool' =>
  INFO[dtype].isStorageOnly ? 'float32' : (dtype as 'float32' | 'int32' | 'bool')

const RANK: Record<'float32' | 'int32' | 'bool', number> = { bool: 0, int32: 1, float32: 2 }

/** PyTorch's promotion among the compute dtypes: bool < int32 < float32. */
export function promoteTypes(a: DType, b: DType): 'float32' | 'int32' | 'bool' {
  const x = computeDType(a)
  const y = computeDType(b)
  return RANK[x] >= RANK[y] ? x : y
}
