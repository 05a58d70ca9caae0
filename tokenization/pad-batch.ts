/** Padding of rows that were encoded earlier, as a data loader does it. */
import {
  checkOptionNames,
  type Limits,
  type PadOptions,
  paddedLength,
  padOptionNames,
  padRow,
  planPadding,
} from './call-options.ts'

/** Encoded rows: a list a field, or a list of rows. Fields beside those named here stay as they are. */
export interface EncodedColumns {
  inputIds: readonly (readonly number[])[]
  attentionMask?: readonly (readonly number[])[]
  tokenTypeIds?: readonly (readonly number[])[]
  specialTokensMask?: readonly (readonly number[])[]
  [field: string]: unknown
}

export interface EncodedRow {
  inputIds: readonly number[]
  [field: string]: unknown
}

export interface PaddedColumns {
  inputIds: number[][]
  attentionMask?: number[][]
  tokenTypeIds?: number[][]
  specialTokensMask?: number[][]
  [field: string]: unknown
}

export interface PadContext extends Limits {
  padTokenId: number | null
  padTokenTypeId: number
  modelInputNames: readonly string[]
}

export function padBatch(
  context: PadContext,
  encoded: EncodedColumns | readonly EncodedRow[],
  options: PadOptions,
): PaddedColumns {
  checkOptionNames('pad', options, padOptionNames)
  const columns = Array.isArray(encoded) ? columnsOf(encoded) : (encoded as EncodedColumns)
  const { inputIds } = columns
  if (!Array.isArray(inputIds) || !inputIds.every(Array.isArray)) {
    throw new Error('[pad] inputIds must be a list of rows: pad takes a batch')
  }
  const withMask = options.returnAttentionMask ?? context.modelInputNames.includes('attention_mask')
  const attentionMask = columns.attentionMask ?? inputIds.map((row) => row.map(() => 1))
  const padded: PaddedColumns = { ...columns, inputIds } as PaddedColumns
  if (withMask) padded.attentionMask = attentionMask as number[][]
  const plan = planPadding({ ...options, padding: options.padding ?? true }, context)
  if (!plan) return padded

  const length = paddedLength(
    plan,
    inputIds.map((row) => row.length),
  )
  const fill = (name: string, value: number) => {
    const rows = padded[name] as readonly (readonly number[])[] | undefined
    if (rows) padded[name] = rows.map((row) => padRow(row, length, value, plan.side))
  }
  fill('inputIds', context.padTokenId ?? 0)
  fill('attentionMask', 0)
  fill('tokenTypeIds', context.padTokenTypeId)
  fill('specialTokensMask', 1)
  return padded
}

function columnsOf(rows: readonly EncodedRow[]): EncodedColumns {
  const names = Object.keys(rows[0] ?? { inputIds: [] })
  return Object.fromEntries(
    names.map((name) => [name, rows.map((row) => row[name])]),
  ) as unknown as EncodedColumns
}
