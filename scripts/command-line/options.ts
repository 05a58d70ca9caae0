/** Parsers of option values: commander turns what they throw into one line that names the option. */
import { InvalidArgumentError, Option } from 'commander'

function numeric(isFine: (value: number) => boolean, rule: string): (text: string) => number {
  return (text) => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (!isFine(value)) throw new InvalidArgumentError(`It must be ${rule}.`)
    return value
  }
}

export const positiveInteger = numeric((n) => Number.isSafeInteger(n) && n > 0, 'an integer over 0')
export const nonNegativeInteger = numeric((n) => Number.isSafeInteger(n) && n >= 0, 'an integer from 0')
export const positiveNumber = numeric((n) => Number.isFinite(n) && n > 0, 'a number over 0')
export const nonNegativeNumber = numeric((n) => Number.isFinite(n) && n >= 0, 'a number from 0')
export const fraction = numeric((n) => n >= 0 && n <= 1, 'a number from 0 to 1')

/** A comma-separated list; given twice, the option adds to it. */
export const list = (text: string, before: string[] = []): string[] => [
  ...before,
  ...text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== ''),
]

/** Collects every use of an option that may be repeated. */
export const repeated = (text: string, before: string[] = []): string[] => [...before, text]

export const deviceOption = (): Option =>
  new Option(
    '--device <name>',
    'where to compute (default: a hardware GPU if there is one, else cpu)',
  ).choices(['auto', 'cpu', 'webgpu', 'reference'])

export const threadsOption = (): Option =>
  new Option('--threads <n>', 'threads of the cpu device (default: all cores)').argParser(positiveInteger)

export const jsonOption = (): Option =>
  new Option('--json', 'print one JSON object as the last line of stdout')
