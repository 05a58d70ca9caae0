/**
 * `tunesmith/data`: texts and labels from files, the order in which training goes through them, and batches of token
 * ids, packed or padded.
 * @module
 */
export { type BatchOptions, makeBatches } from './batching.ts'
export { type BlockOptions, chunkIntoBlocks } from './blocks.ts'
export type { ColumnChoice } from './columns.ts'
export { DataError } from './errors.ts'
export { type LabelSet, type LabelSetOptions, labelSet } from './labels.ts'
export {
  type PackedBatch,
  type PackOptions,
  type PaddedBatch,
  type PadOptions,
  pack,
  packValues,
  padBatch,
  padValues,
} from './packing.ts'
export { formatOf, type TextFormat } from './records.ts'
export { type SampleOptions, sampleIndices } from './sampler.ts'
export { parseTextDataset, readTextDataset, type TextDatasetOptions, type TextRow } from './text-dataset.ts'
export { decodeText, readTextFile } from './text-file.ts'
