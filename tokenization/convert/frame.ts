import type { ComponentConfig } from '../parts/config.ts'
import { RobertaProcessing, TemplateProcessing } from '../parts/post-processors.ts'
import type { SpecialTokenName } from '../special-tokens.ts'
import type { Family } from './families.ts'

export interface FrameOptions {
  special: Partial<Record<SpecialTokenName, string>>
  idOf(token: string): number
  trimOffsets?: boolean
  addPrefixSpace?: boolean
}

/** The post-processor that puts a family's special tokens around texts. */
export function frame(kind: Family['frame'], options: FrameOptions): ComponentConfig | null {
  const { special, idOf, trimOffsets = true, addPrefixSpace = false } = options
  const token = (role: SpecialTokenName): [string, number] => {
    const text = special[role] ?? ''
    return [text, idOf(text)]
  }
  if (kind === null) return null
  if (kind === 'eos') {
    const [eos, id] = token('eosToken')
    return TemplateProcessing({
      single: ['$A', eos],
      pair: ['$A', eos, '$B', eos],
      specialTokens: [[eos, id]],
    })
  }
  const [sep, cls] = [token('sepToken'), token('clsToken')]
  if (kind === 'roberta') return RobertaProcessing(sep, cls, { trimOffsets, addPrefixSpace })
  const single = [cls[0], '$A', sep[0]]
  const specialTokens = [cls, sep]
  if (kind === 'mbart') {
    return TemplateProcessing({ single, pair: [...single, sep[0], '$B', sep[0]], specialTokens })
  }
  return TemplateProcessing({ single, pair: [...single, '$B:1', `${sep[0]}:1`], specialTokens })
}
