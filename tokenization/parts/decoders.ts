/** Decoders by their names in Python's `tokenizers.decoders`. */
import { type ComponentConfig, component, type Pattern, patternConfig } from './config.ts'
import type { MetaspaceOptions } from './pre-tokenizers.ts'

export { Metaspace } from './pre-tokenizers.ts'
export type { MetaspaceOptions }

export const ByteLevel = (): ComponentConfig => ({
  type: 'ByteLevel',
  add_prefix_space: true,
  trim_offsets: true,
  use_regex: true,
})
export const ByteFallback = (): ComponentConfig => ({ type: 'ByteFallback' })
export const Fuse = (): ComponentConfig => ({ type: 'Fuse' })

/** `cleanup` removes spaces before punctuation. */
export function WordPiece(options?: { prefix?: string; cleanup?: boolean }): ComponentConfig {
  return component('WordPiece', { prefix: '##', cleanup: true }, options)
}

export function BPEDecoder(options?: { suffix?: string }): ComponentConfig {
  return component('BPEDecoder', { suffix: '</w>' }, options)
}

export interface CTCOptions {
  padToken?: string
  wordDelimiterToken?: string
  cleanup?: boolean
}

export function CTC(options?: CTCOptions): ComponentConfig {
  const defaults = { padToken: '<pad>', wordDelimiterToken: '|', cleanup: true }
  return component<Required<CTCOptions>>('CTC', defaults, options)
}

export function Replace(pattern: Pattern, content: string): ComponentConfig {
  return { type: 'Replace', pattern: patternConfig('Replace', pattern), content }
}

/** Removes up to `left` and `right` times `content` at the ends of each token. */
export function Strip({ content = ' ', left = 0, right = 0 } = {}): ComponentConfig {
  return { type: 'Strip', content, start: left, stop: right }
}

export function Sequence(decoders: readonly ComponentConfig[]): ComponentConfig {
  return { type: 'Sequence', decoders }
}
