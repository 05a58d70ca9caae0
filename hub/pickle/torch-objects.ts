import { quote } from '../errors.ts'
import { formatShape, type SafetensorsDtype, tensorByteLength } from '../safetensors/dtype.ts'
import { TorchFileError } from './errors.ts'
import { PickledGlobal, type PickleHandlers, type PickleValue } from './unpickler.ts'

/** Storage classes of PyTorch and the dtypes of their elements. */
const STORAGES: Readonly<Record<string, SafetensorsDtype>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
  ComplexFloatStorage: 'C64',
}

/** PyTorch's dtypes, as a tensor of newer ones names its own over an untyped storage. */
const DTYPES: Readonly<Record<string, SafetensorsDtype>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  float8_e4m3fn: 'F8_E4M3',
  float8_e5m2: 'F8_E5M2',
  float8_e4m3fnuz: 'F8_E4M3FNUZ',
  float8_e5m2fnuz: 'F8_E5M2FNUZ',
  float8_e8m0fnu: 'F8_E8M0',
  complex64: 'C64',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
  uint16: 'U16',
  uint32: 'U32',
  uint64: 'U64',
  bool: 'BOOL',
}

const UNTYPED = 'torch.storage.UntypedStorage'
const TENSOR = 'torch._utils._rebuild_tensor'
const TENSOR_V2 = 'torch._utils._rebuild_tensor_v2'
const TENSOR_V3 = 'torch._utils._rebuild_tensor_v3'
const PARAMETER = 'torch._utils._rebuild_parameter'
const DICT = 'collections.OrderedDict'
const SIZE = 'torch.Size'
const FUNCTIONS = new Set([TENSOR, TENSOR_V2, TENSOR_V3, PARAMETER, DICT, SIZE])

/** A run of elements in the file that tensors are views on. */
export class Storage {
  readonly key: string
  /** Elements; bytes, where it has no dtype. */
  readonly count: number
  /** null: the tensors say it. */
  readonly dtype: SafetensorsDtype | null

  constructor(key: string, count: number, dtype: SafetensorsDtype | null) {
    this.key = key
    this.count = count
    this.dtype = dtype
  }

  get byteLength(): number {
    return this.dtype ? this.count * elementBytes(this.dtype) : this.count
  }
}

/** A tensor as PyTorch describes it: a view with strides on a storage. Offset and strides count elements. */
export class TorchTensor {
  readonly storage: Storage
  readonly dtype: SafetensorsDtype
  readonly offset: number
  readonly shape: readonly number[]
  readonly strides: readonly number[]

  /** @throws TorchFileError if the view reaches outside of its storage, or has more elements than it. */
  constructor(
    storage: Storage,
    dtype: SafetensorsDtype,
    offset: number,
    shape: readonly number[],
    strides: readonly number[],
  ) {
    this.storage = storage
    this.dtype = dtype
    this.offset = offset
    this.shape = shape
    this.strides = strides
    const count = storage.byteLength / elementBytes(dtype)
    const elements = shape.reduce((product, dim) => product * dim, 1)
    if (strides.length !== shape.length || (elements > 0 && this.last >= count))
      throw new TorchFileError(
        `a tensor of shape ${formatShape(shape)} with strides ${formatShape(strides)} reaches outside of its storage`,
      )
    // A view can repeat elements without end; a model's weights do not, and memory is promised to be that of the file.
    if (elements > count)
      throw new TorchFileError(
        `a tensor of shape ${formatShape(shape)} repeats the ${count} elements of its storage; save it with .contiguous()`,
      )
  }

  get isContiguous(): boolean {
    let expected = 1
    for (let d = this.shape.length - 1; d >= 0; d--) {
      if (this.shape[d] !== 1 && this.strides[d] !== expected) return false
      expected *= this.shape[d]
    }
    return true
  }

  /** Place of the last element in the storage; there must be one. */
  get last(): number {
    return this.shape.reduce((at, dim, d) => at + (dim - 1) * this.strides[d], this.offset)
  }
}

export function elementBytes(dtype: SafetensorsDtype): number {
  return tensorByteLength(dtype, [1]) as number // none of these is packed
}

/** What a pickle of torch.save may name and call, and what it makes of that. */
export const torchHandlers: PickleHandlers = {
  allows(name) {
    const [module, rest] = [name.slice(0, 6), name.slice(6)]
    return (
      FUNCTIONS.has(name) ||
      name === UNTYPED ||
      (module === 'torch.' && (Object.hasOwn(STORAGES, rest) || Object.hasOwn(DTYPES, rest)))
    )
  },
  call(name, args) {
    switch (name) {
      case DICT:
        return orderedDict(args)
      case SIZE:
        return sizes(args[0])
      case PARAMETER:
        if (args[0] instanceof TorchTensor) return args[0]
        break
      case TENSOR:
      case TENSOR_V2: {
        const [storage, offset, shape, strides] = args
        if (storage instanceof Storage && storage.dtype)
          return new TorchTensor(storage, storage.dtype, size(offset), sizes(shape), sizes(strides))
        break
      }
      case TENSOR_V3: {
        const [storage, offset, shape, strides, , , dtype] = args
        if (storage instanceof Storage && dtype instanceof PickledGlobal)
          return new TorchTensor(storage, dtypeOf(dtype), size(offset), sizes(shape), sizes(strides))
      }
    }
    throw new TorchFileError(`its pickle calls ${quote(name)} with what makes no tensor`)
  },
  persistent(id) {
    if (
      !Array.isArray(id) ||
      id[0] !== 'storage' ||
      !(id[1] instanceof PickledGlobal) ||
      typeof id[2] !== 'string'
    )
      throw new TorchFileError('its pickle refers to what is no storage')
    if (id.length > 5 && id[5] !== null)
      throw new TorchFileError(
        'has views of storages, as PyTorch wrote before 0.4; save it again with a newer one',
      )
    const count = size(id[4])
    if (id[1].name === UNTYPED) return new Storage(id[2], count, null)
    const type = id[1].name.replace(/^torch\./, '')
    if (!Object.hasOwn(STORAGES, type))
      throw new TorchFileError(`storages of type ${quote(type)} are not read`)
    return new Storage(id[2], count, STORAGES[type])
  },
}

function dtypeOf({ name }: PickledGlobal): SafetensorsDtype {
  const dtype = name.replace(/^torch\./, '')
  if (Object.hasOwn(DTYPES, dtype)) return DTYPES[dtype]
  throw new TorchFileError(`tensors of dtype ${quote(name)} are not read`)
}

/** From nothing, or from a list of pairs. */
function orderedDict(args: readonly PickleValue[]): Map<PickleValue, PickleValue> {
  const pairs = args[0] ?? []
  if (!Array.isArray(pairs) || !pairs.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw new TorchFileError('its pickle makes an OrderedDict of what is no list of pairs')
  return new Map(pairs as [PickleValue, PickleValue][])
}

function size(value: PickleValue): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw new TorchFileError('a size, stride or offset in its pickle is no integer from 0')
}

function sizes(value: PickleValue): number[] {
  if (!Array.isArray(value)) throw new TorchFileError('a shape in its pickle is no list')
  if (value.length > 64) throw new TorchFileError(`a tensor in its pickle has ${value.length} dimensions`)
  return value.map(size)
}
