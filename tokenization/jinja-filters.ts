/** Filters of Jinja that `@huggingface/jinja` lacks, or has for fewer values than Jinja. */
import { equal, items, print, toValue, type Value } from './jinja-values.ts'

/** What a filter is given beside its value. */
export interface FilterCall {
  positional: Value[]
  named: Map<string, Value>
  /** Applies another filter by its name. */
  filter(name: string, value: Value, args: Value[]): Value
  /** Whether a value passes a test, by its name. */
  test(name: string, value: Value, args: Value[]): boolean
  /** A member of an object, or undefined. */
  member(value: Value, name: string): Value
  tuple(values: Value[]): Value
}

type Filter = (value: Value, call: FilterCall) => Value | undefined

/** The result; undefined where the filter is left to the library. */
export function applyFilter(name: string, value: Value, call: FilterCall): Value | undefined {
  return Object.hasOwn(filters, name) ? filters[name](value, call) : undefined
}

const filters: Record<string, Filter> = {
  sum: (value, call) => {
    const attribute = argument(call, 0, 'attribute')
    const start = argument(call, 1, 'start')
    const numbers = items(value).map((item) =>
      number(attribute ? call.member(item, String(attribute.value)) : item),
    )
    return numeric(
      numbers.reduce((sum, next) => sum + next, start ? number(start) : 0),
      items(value),
    )
  },
  max: (value) => extreme(value, (a, b) => a > b),
  min: (value) => extreme(value, (a, b) => a < b),
  round: (value, call) => {
    const precision = number(argument(call, 0, 'precision') ?? toValue(0))
    const method = argument(call, 1, 'method')?.value ?? 'common'
    const scale = 10 ** precision
    const scaled = number(value) * scale
    const rounded =
      method === 'ceil' ? Math.ceil(scaled) : method === 'floor' ? Math.floor(scaled) : halfToEven(scaled)
    return float(rounded / scale)
  },
  abs: (value) =>
    value.type === 'FloatValue' ? float(Math.abs(number(value))) : toValue(Math.abs(number(value))),
  reverse: (value) =>
    typeof value.value === 'string'
      ? toValue(Array.from(value.value).reverse().join(''))
      : toList([...items(value)].reverse()),
  list: (value) => toList(items(value)),
  first: (value) => items(value)[0] ?? toValue(undefined),
  last: (value) => items(value).at(-1) ?? toValue(undefined),
  items: (value, call) => {
    if (!(value.value instanceof Map)) return undefined
    const entries = [...(value.value as Map<string, Value>)]
    return toList(entries.map(([key, item]) => call.tuple([toValue(key), item])))
  },
  wordcount: (value) => toValue((print(value).match(/[\p{L}\p{N}_]+/gu) ?? []).length),
  escape: (value) => toValue(escapeHtml(print(value))),
  e: (value) => toValue(escapeHtml(print(value))),
  forceescape: (value) => toValue(escapeHtml(print(value))),
  safe: (value) => value,
  center: (value, call) => {
    const text = print(value)
    const missing = Math.max(0, number(argument(call, 0, 'width') ?? toValue(80)) - text.length)
    // As Python rounds it.
    const left = Math.floor(missing / 2) + (missing & number(argument(call, 0, 'width') ?? toValue(80)) & 1)
    return toValue(' '.repeat(left) + text + ' '.repeat(missing - left))
  },
  truncate: (value, call) => {
    const text = print(value)
    const length = number(argument(call, 0, 'length') ?? toValue(255))
    const killWords = truth(argument(call, 1, 'killwords'))
    const end = String(argument(call, 2, 'end')?.value ?? '...')
    const leeway = number(argument(call, 3, 'leeway') ?? toValue(5))
    if (text.length <= length + leeway) return value
    const cut = text.slice(0, length - end.length)
    return toValue((killWords ? cut : cut.replace(/ [^ ]*$/, '')) + end)
  },
  format: (value, call) => toValue(percentFormat(print(value), call.positional)),
  indent: (value, call) => {
    const width = argument(call, 0, 'width')?.value ?? 4
    const margin = typeof width === 'string' ? width : ' '.repeat(Number(width))
    const first = truth(argument(call, 1, 'first'))
    const blank = truth(argument(call, 2, 'blank'))
    const lines = print(value).split('\n')
    return toValue(
      lines
        .map((line, i) => ((i > 0 || first) && (blank || line !== '' || i === 0) ? margin + line : line))
        .join('\n'),
    )
  },
  map: (value, call) => {
    if (call.named.has('attribute')) return undefined
    const [name, ...args] = call.positional
    return toList(items(value).map((item) => call.filter(String(name.value), item, args)))
  },
  select: (value, call) => chosen(value, call, true),
  reject: (value, call) => chosen(value, call, false),
  batch: (value, call) => {
    const size = number(argument(call, 0, 'linecount')!)
    const fill = argument(call, 1, 'fill_with')
    const all = items(value)
    const rows: Value[] = []
    for (let i = 0; i < all.length; i += size) {
      const row = all.slice(i, i + size)
      while (fill && row.length < size) row.push(fill)
      rows.push(toList(row))
    }
    return toList(rows)
  },
  groupby: (value, call) => {
    const attribute = String(argument(call, 0, 'attribute')!.value)
    const groups: { key: Value; members: Value[] }[] = []
    for (const item of items(value)) {
      const key = call.member(item, attribute)
      const group = groups.find((known) => equal(known.key, key))
      if (group) group.members.push(item)
      else groups.push({ key, members: [item] })
    }
    groups.sort((a, b) => compare(a.key.value, b.key.value))
    return toList(groups.map(({ key, members }) => call.tuple([key, toList(members)])))
  },
}

function argument({ positional, named }: FilterCall, index: number, name: string): Value | undefined {
  return positional[index] ?? named.get(name)
}

function number(value: Value): number {
  if (typeof value.value === 'number' || typeof value.value === 'boolean') return Number(value.value)
  throw new Error(`${value.type} is not a number`)
}

function truth(value: Value | undefined): boolean {
  return value?.__bool__().value ?? false
}

/** A list of values, which stay what they are. */
function toList(values: Value[]): Value {
  const list = toValue([])
  list.value = values
  return list
}

function float(value: number): Value {
  // Of the numbers of JavaScript, whole ones would become integers.
  const made = toValue(0.5)
  made.value = value
  return made
}

function numeric(value: number, of: Value[]): Value {
  return of.some((item) => item.type === 'FloatValue') ? float(value) : toValue(value)
}

/** Python's rounding. */
function halfToEven(value: number): number {
  const floor = Math.floor(value)
  if (value - floor !== 0.5) return Math.round(value)
  return floor % 2 === 0 ? floor : floor + 1
}

function extreme(value: Value, better: (a: never, b: never) => boolean): Value {
  const all = items(value)
  if (all.length === 0) return toValue(undefined)
  const key = (item: Value) =>
    (typeof item.value === 'string' ? item.value.toLowerCase() : item.value) as never
  return all.reduce((best, item) => (better(key(item), key(best)) ? item : best))
}

function compare(a: unknown, b: unknown): number {
  const [left, right] = [a, b].map((item) => (typeof item === 'string' ? item.toLowerCase() : item)) as [
    never,
    never,
  ]
  return left < right ? -1 : left > right ? 1 : 0
}

function chosen(value: Value, call: FilterCall, wanted: boolean): Value {
  const [name, ...args] = call.positional
  const passes = (item: Value) => (name ? call.test(String(name.value), item, args) : item.__bool__().value)
  return toList(items(value).filter((item) => passes(item) === wanted))
}

function escapeHtml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' }
  return text.replace(/[&<>"']/g, (letter) => names[letter])
}

/** The conversions of Python's `%` that templates use. */
function percentFormat(text: string, values: readonly Value[]): string {
  let next = 0
  return text.replace(/%(?:([sdr])|\.(\d+)f|f|%)/g, (all, kind?: string, digits?: string) => {
    if (all === '%%') return '%'
    const value = values[next++]
    if (value === undefined) throw new Error('not enough values to format')
    if (kind === 's') return print(value)
    if (kind === 'd') return String(Math.trunc(number(value)))
    if (kind === 'r') return print(toList([value])).slice(1, -1)
    return number(value).toFixed(digits === undefined ? 6 : Number(digits))
  })
}
