import { type Tensor, tensor } from '../../core/index.ts'
import type { BatchEncoding, EncodedFields } from '../../tokenization/batch-encoding.ts'
import type { CallOptions, PadOptions } from '../../tokenization/call-options.ts'
import type { TextInput } from '../../tokenization/encode-batch.ts'
import type { EncodedColumns, EncodedRow, PaddedColumns } from '../../tokenization/pad-batch.ts'
import { PreTrainedTokenizer } from '../../tokenization/pretrained.ts'

export interface TensorOption {
  /** Fields as int32 tensors `[batch, length]`, for a lone text with a batch of one; the rows must be of one length. */
  returnTensors?: boolean | 'tunesmith' | null
}

/** The fields of a BatchEncoding as int32 tensors; offsets are `[batch, length, 2]`. */
export type TensorEncoding = Omit<BatchEncoding, keyof EncodedFields<boolean>> & {
  [Field in keyof EncodedFields<true>]: Tensor
}

type TensorCall = (
  text: TextInput,
  options: CallOptions & { returnTensors: true | 'tunesmith' },
) => TensorEncoding

// The call is that of the base class, and one more.
export interface PreTrainedTokenizerFast extends TensorCall {}

/** A pretrained model's tokenizer that can also give tensors. `AutoTokenizer.fromPretrained` makes it. */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: see the interface
export class PreTrainedTokenizerFast extends PreTrainedTokenizer {
  override _call(text: TextInput, options: CallOptions & TensorOption = {}): BatchEncoding {
    const { returnTensors, ...rest } = options
    const encoded = super._call(text, rest)
    if (!wantsTensors(returnTensors)) return encoded
    const lone = typeof text === 'string' || (options.isSplitIntoWords && !Array.isArray(text[0]))
    const batched = !lone || options.returnOverflowingTokens
    for (const [field, value] of Object.entries(encoded)) {
      Object.assign(encoded, { [field]: toTensor(field, batched ? value : [value]) })
    }
    return encoded
  }

  /** Pads rows that were encoded earlier; with `returnTensors` all fields become tensors. */
  override pad(encoded: EncodedColumns | readonly EncodedRow[], options?: PadOptions): PaddedColumns
  override pad(
    encoded: EncodedColumns | readonly EncodedRow[],
    options: PadOptions & { returnTensors: true | 'tunesmith' },
  ): Record<string, Tensor>
  override pad(
    encoded: EncodedColumns | readonly EncodedRow[],
    options: PadOptions & TensorOption = {},
  ): PaddedColumns | Record<string, Tensor> {
    const { returnTensors, ...rest } = options
    const padded = super.pad(encoded, rest)
    if (!wantsTensors(returnTensors)) return padded
    const fields = Object.entries(padded).map(([field, value]) => [field, toTensor(field, value)])
    return Object.fromEntries(fields) as Record<string, Tensor>
  }
}

function wantsTensors(option: TensorOption['returnTensors']): boolean {
  if (option === undefined || option === null || typeof option === 'boolean') return option === true
  if (option === 'tunesmith') return true
  throw new Error(`[tokenizer] returnTensors is true or 'tunesmith', not ${JSON.stringify(option)}`)
}

type Nested = number | Nested[]

/** Throws where rows differ in length, and says what to do about it. */
function toTensor(field: string, value: unknown): Tensor {
  const rows = value as Nested[]
  const lengths = new Set(rows.map((row) => (Array.isArray(row) ? row.length : 0)))
  if (lengths.size > 1) {
    const [shortest, longest] = [Math.min(...lengths), Math.max(...lengths)]
    throw new Error(
      `[tokenizer] rows of ${field} have from ${shortest} to ${longest} tokens and make no tensor: pass padding: true, or truncation: true`,
    )
  }
  const shape = shapeOf(rows)
  return tensor(Int32Array.from(rows.flat(2) as number[]), shape, { dtype: 'int32' })
}

function shapeOf(value: Nested): number[] {
  return Array.isArray(value) ? [value.length, ...(value.length ? shapeOf(value[0]) : [])] : []
}
