/**
 * `tunesmith/data`: data sets from files and the Hub, texts and labels, the order in which training goes through them, and batches of token
 * ids, packed or padded.
 * @module
 */
export { type BatchOptions, makeBatches } from './batching.ts'
export { type BlockOptions, chunkIntoBlocks } from './blocks.ts'
export { type ColumnChoice, chooseColumns } from './columns.ts'
export type { MapOptions } from './dataset/batches.ts'
export { Dataset, type SplitOptions } from './dataset/dataset.ts'
export type { Feature, Features, Row } from './dataset/features.ts'
export type { DataFormat } from './dataset/formats.ts'
export { IterableDataset } from './dataset/iterable-dataset.ts'
export { type LoadDatasetOptions, loadDataset } from './dataset/load-dataset.ts'
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
