/** Post-processors by their names in Python's `tokenizers.processors`. */
import { type ComponentConfig, component } from './config.ts'
import type { ByteLevelOptions } from './pre-tokenizers.ts'

/** A token and its id. */
export type TokenAndId = readonly [token: string, id: number]

export function ByteLevel(options?: ByteLevelOptions): ComponentConfig {
  const defaults = { addPrefixSpace: true, trimOffsets: true, useRegex: true }
  return component<Required<ByteLevelOptions>>('ByteLevel', defaults, options)
}

export function BertProcessing(sep: TokenAndId, cls: TokenAndId): ComponentConfig {
  return { type: 'BertProcessing', sep, cls }
}

export function RobertaProcessing(
  sep: TokenAndId,
  cls: TokenAndId,
  options?: { trimOffsets?: boolean; addPrefixSpace?: boolean },
): ComponentConfig {
  return { ...component('RobertaProcessing', { trimOffsets: true, addPrefixSpace: true }, options), sep, cls }
}

/** `[CLS] $A [SEP]`, or its pieces; `:1` behind a piece is its type id. */
export type Template = string | readonly string[]

export interface TemplateProcessingOptions {
  /** Of a text; default `$A`. */
  single?: Template
  /** Of a pair; default `$A:0 $B:1`. */
  pair?: Template
  /** All tokens that the templates name, with their ids. */
  specialTokens?: readonly TokenAndId[]
}

export function TemplateProcessing({
  single = '$A',
  pair = '$A:0 $B:1',
  specialTokens = [],
}: TemplateProcessingOptions): ComponentConfig {
  const ids = new Map(specialTokens)
  return {
    type: 'TemplateProcessing',
    single: readTemplate(single, ids),
    pair: readTemplate(pair, ids),
    special_tokens: Object.fromEntries(
      specialTokens.map(([token, id]) => [token, { id: token, ids: [id], tokens: [token] }]),
    ),
  }
}

function readTemplate(template: Template, ids: ReadonlyMap<string, number>): object[] {
  const pieces = typeof template === 'string' ? template.split(/\s+/).filter(Boolean) : template
  return pieces.map((piece) => {
    const sequence = /^\$(?:([ABab])?(?::(\d+))?|(\d+))$/.exec(piece)
    if (sequence) {
      const [, id = 'A', type, typeAlone] = sequence
      return { Sequence: { id: id.toUpperCase(), type_id: Number(type ?? typeAlone ?? 0) } }
    }
    const [, token, type = '0'] = /^(.+?)(?::(\d+))?$/.exec(piece) ?? []
    if (ids.has(token)) return { SpecialToken: { id: token, type_id: Number(type) } }
    throw new Error(
      `[TemplateProcessing] ${JSON.stringify(token ?? piece)} needs its id: add it to specialTokens`,
    )
  })
}

export function Sequence(processors: readonly ComponentConfig[]): ComponentConfig {
  return { type: 'Sequence', processors }
}
