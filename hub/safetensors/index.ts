/** Reader and writer of the safetensors format. */
export { type OpenShard, openCheckpoint, openShards, WEIGHTS_INDEX_NAME, WEIGHTS_NAME } from './checkpoint.ts'
export {
  bytesOf,
  fromFloat32,
  type StoredTensor,
  type TensorArray,
  toBool,
  toFloat32,
  toInt32,
  toTypedArray,
} from './convert.ts'
export { isSafetensorsDtype, type SafetensorsDtype } from './dtype.ts'
export { MAX_HEADER_BYTES, type TensorInfo, type TensorSpec } from './header.ts'
export { openSafetensors, type TensorReader } from './reader.ts'
export {
  type SaveCheckpointOptions,
  saveCheckpoint,
  serializeSafetensors,
  type TensorToWrite,
  type WriteOptions,
  writeSafetensors,
} from './writer.ts'
