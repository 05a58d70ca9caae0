/** How parts of a tokenizer are made from options: each is the object that stands for it in tokenizer.json. */
import { checkOptionNames } from '../call-options.ts'
import { snakeCase } from '../settings.ts'

/** A part of a tokenizer.json: its `type`, and the fields of that type. */
export interface ComponentConfig {
  type: string
  [field: string]: unknown
}

/** A text that is looked for, or a regular expression, in the syntax of Oniguruma where it is given as a string. */
export type Pattern = string | RegExp | { Regex: string }

/** What becomes of a delimiter at which text is split. */
export type SplitBehavior =
  | 'removed'
  | 'isolated'
  | 'merged_with_previous'
  | 'merged_with_next'
  | 'contiguous'

/** A part with the options given over the defaults. An option that the part does not have is an error. */
export function component<T extends object>(
  type: string,
  defaults: T,
  options: Partial<T> = {},
): ComponentConfig {
  checkOptionNames(type, options, Object.keys(defaults))
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  const fields = Object.entries({ ...defaults, ...Object.fromEntries(given) })
  return { type, ...Object.fromEntries(fields.map(([name, value]) => [snakeCase(name), value])) }
}

/** A regular expression that tokenizers takes for one; a plain string stands for itself. */
export function Regex(source: string): { Regex: string } {
  return { Regex: source }
}

export function patternConfig(operation: string, pattern: Pattern): { String: string } | { Regex: string } {
  if (typeof pattern === 'string') return { String: pattern }
  if (!(pattern instanceof RegExp)) return pattern
  const unknown = pattern.flags.replace(/[gus]/g, '')
  if (unknown !== '') {
    throw new Error(
      `[${operation}] the flags ${unknown} of ${pattern} are not known to tokenizers: write them into it, (?i)`,
    )
  }
  return { Regex: pattern.source.replaceAll('\\/', '/').replace(/\\u\{?([0-9a-fA-F]+)\}?/g, '\\x{$1}') }
}

const behaviors: Record<SplitBehavior, string> = {
  removed: 'Removed',
  isolated: 'Isolated',
  merged_with_previous: 'MergedWithPrevious',
  merged_with_next: 'MergedWithNext',
  contiguous: 'Contiguous',
}

export function behaviorConfig(operation: string, behavior: SplitBehavior): string {
  if (Object.hasOwn(behaviors, behavior)) return behaviors[behavior]
  throw new Error(
    `[${operation}] behavior is ${Object.keys(behaviors).join(', ')}, not ${JSON.stringify(behavior)}`,
  )
}
