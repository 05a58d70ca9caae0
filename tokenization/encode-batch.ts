/** From the options of a call to the fields for a model. */
import { BatchEncoding, type EncodedFields } from './batch-encoding.ts'
import {
  type CallOptions,
  checkLengths,
  type Limits,
  type PaddingPlan,
  paddedLength,
  padRow,
  planPadding,
  planTruncation,
} from './call-options.ts'
import type { EncodeInput, EncodeRequest, Sequence } from './encode.ts'
import type { Encoding, Offset } from './encoding.ts'

/** What a tokenizer brings along for a call. */
export interface CallContext extends Limits {
  padTokenId: number | null
  padTokenTypeId: number
  modelInputNames: readonly string[]
  /** Encodes without regard to the settings of tokenizer.json. */
  encode(
    inputs: EncodeInput[],
    request: EncodeRequest,
    splitSpecialTokens: boolean | null | undefined,
  ): Encoding[]
}

export type TextInput = Sequence | readonly Sequence[]

export function encodeTexts(context: CallContext, text: TextInput, options: CallOptions): BatchEncoding {
  const { batched, inputs } = readInputs(text, options)
  const truncation = planTruncation(options, context)
  const padding = planPadding(options, context)
  checkLengths(truncation, padding)

  const encodeRows = (idsOnly: boolean) => {
    const { addSpecialTokens = true, splitSpecialTokens } = options
    const overflow = Boolean(options.returnOverflowingTokens)
    const request = { addSpecialTokens, idsOnly, overflow, truncation }
    const encodings = context.encode(inputs, request, splitSpecialTokens)
    if (!options.returnOverflowingTokens) return encodings.map((encoding, sample) => ({ encoding, sample }))
    return encodings.flatMap((first, sample) =>
      [first, ...first.overflowing].map((encoding) => ({ encoding, sample })),
    )
  }

  const detailed = Boolean(options.returnOffsetsMapping || options.returnSpecialTokensMask)
  const rows = encodeRows(!detailed)
  const pad = padder(
    context,
    padding,
    rows.map((row) => row.encoding.length),
  )
  const encodings = rows.map((row) => row.encoding)
  const fields = fieldsOf(context, encodings, options, pad)
  if (options.returnOverflowingTokens) fields.overflowToSampleMapping = rows.map((row) => row.sample)

  const full = () => (detailed ? encodings : encodeRows(false).map((row) => row.encoding)).map(pad.encoding)
  if (batched || options.returnOverflowingTokens) return new BatchEncoding<true>(fields, full)
  return new BatchEncoding<false>(onlyRow(fields), full)
}

function readInputs(text: TextInput, options: CallOptions): { batched: boolean; inputs: EncodeInput[] } {
  const { isSplitIntoWords: split = false, textPair: pair = null } = options
  if (typeof text !== 'string' && !Array.isArray(text)) {
    throw new Error(`[tokenizer] the text is a string, or an array for a batch, not ${text}`)
  }
  const batched = split ? Array.isArray(text[0]) : Array.isArray(text)
  // As in transformers, a lone text with an empty second one is no pair.
  if (!batched)
    return { batched, inputs: [{ text: text as Sequence, pair: pair?.length ? (pair as Sequence) : null }] }
  if (pair !== null && (!Array.isArray(pair) || pair.length !== text.length)) {
    const given = Array.isArray(pair) ? `${pair.length} texts` : 'no array'
    throw new Error(
      `[tokenizer] textPair must hold a text for each of the ${text.length} texts of the batch: it is ${given}`,
    )
  }
  const seconds = pair as readonly Sequence[] | null
  return {
    batched,
    inputs: (text as readonly Sequence[]).map((first, i) => ({ text: first, pair: seconds?.[i] ?? null })),
  }
}

interface Padder {
  row<T>(row: readonly T[], value: T): T[]
  encoding(encoding: Encoding): Encoding
}

function padder(context: CallContext, plan: PaddingPlan | null, lengths: number[]): Padder {
  if (!plan) return { row: (row) => row as never, encoding: (encoding) => encoding }
  const length = paddedLength(plan, lengths)
  const padding = {
    direction: plan.side,
    padId: context.padTokenId ?? 0,
    padTypeId: context.padTokenTypeId,
    padToken: context.padToken ?? '',
  }
  return {
    row: (row, value) => padRow(row, length, value, plan.side),
    encoding: (encoding) => encoding.padded(length, padding),
  }
}

function fieldsOf(
  context: CallContext,
  encodings: Encoding[],
  options: CallOptions,
  pad: Padder,
): EncodedFields<true> {
  const { padTokenId, padTokenTypeId, modelInputNames } = context
  const rows = <T>(part: (encoding: Encoding) => T[], value: T) =>
    encodings.map((e) => pad.row(part(e), value))
  const fields: EncodedFields<true> = { inputIds: rows((e) => e.ids, padTokenId ?? 0) }
  if (options.returnTokenTypeIds ?? modelInputNames.includes('token_type_ids')) {
    fields.tokenTypeIds = rows((e) => e.typeIds, padTokenTypeId)
  }
  if (options.returnAttentionMask ?? modelInputNames.includes('attention_mask')) {
    fields.attentionMask = rows((e) => e.attentionMask, 0)
  }
  if (options.returnSpecialTokensMask) fields.specialTokensMask = rows((e) => e.specialTokensMask, 1)
  if (options.returnOffsetsMapping) fields.offsetMapping = rows((e) => e.offsets, [0, 0] as Offset)
  if (options.returnLength) fields.length = fields.inputIds.map((row) => row.length)
  return fields
}

function onlyRow(fields: EncodedFields<true>): EncodedFields<false> {
  const entries = Object.entries(fields).map(([name, rows]) => [name, (rows as unknown[])[0]])
  return Object.fromEntries(entries) as unknown as EncodedFields<false>
}
