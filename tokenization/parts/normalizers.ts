/** Normalizers by their names in Python's `tokenizers.normalizers`: `normalizers.Sequence([normalizers.NFD(), ...])`. */
import { type ComponentConfig, component, type Pattern, patternConfig } from './config.ts'

export interface BertNormalizerOptions {
  /** Removes control characters, and makes all white space spaces; default true. */
  cleanText?: boolean
  /** Puts spaces around Chinese characters; default true. */
  handleChineseChars?: boolean
  /** Default: as `lowercase`. */
  stripAccents?: boolean | null
  /** Default true. */
  lowercase?: boolean
}

export function BertNormalizer(options?: BertNormalizerOptions): ComponentConfig {
  const defaults = { cleanText: true, handleChineseChars: true, stripAccents: null, lowercase: true }
  return component<Required<BertNormalizerOptions>>('BertNormalizer', defaults, options)
}

export const NFC = (): ComponentConfig => ({ type: 'NFC' })
export const NFD = (): ComponentConfig => ({ type: 'NFD' })
export const NFKC = (): ComponentConfig => ({ type: 'NFKC' })
export const NFKD = (): ComponentConfig => ({ type: 'NFKD' })
export const Nmt = (): ComponentConfig => ({ type: 'Nmt' })
export const Lowercase = (): ComponentConfig => ({ type: 'Lowercase' })
export const StripAccents = (): ComponentConfig => ({ type: 'StripAccents' })
export const ByteLevel = (): ComponentConfig => ({ type: 'ByteLevel' })

/** Removes white space at the ends, both by default. */
export function Strip({ left = true, right = true } = {}): ComponentConfig {
  return { type: 'Strip', strip_left: left, strip_right: right }
}

export function Prepend(prepend: string): ComponentConfig {
  return { type: 'Prepend', prepend }
}

export function Replace(pattern: Pattern, content: string): ComponentConfig {
  return { type: 'Replace', pattern: patternConfig('Replace', pattern), content }
}

/** The character map of a sentencepiece model, `normalizer_spec.precompiled_charsmap`. */
export function Precompiled(charsmap: Uint8Array): ComponentConfig {
  let binary = ''
  for (const byte of charsmap) binary += String.fromCharCode(byte)
  return { type: 'Precompiled', precompiled_charsmap: btoa(binary) }
}

export function Sequence(normalizers: readonly ComponentConfig[]): ComponentConfig {
  return { type: 'Sequence', normalizers }
}
