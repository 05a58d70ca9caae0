/** Values of the Jinja interpreter: from and to JavaScript, compared and printed as Python does it. */
import { Environment } from '@huggingface/jinja'

/** A value of `@huggingface/jinja`; arrays hold values, objects are maps of values. */
export interface Value {
  type: string
  value: unknown
  __bool__(): { value: boolean }
  toString(): string
}

/** The variables of a block, over those of the blocks around it. */
export interface Scope {
  variables: Map<string, Value>
  tests: ReadonlyMap<string, (...values: Value[]) => boolean>
  /** Declares a variable with a JavaScript value. */
  set(name: string, value: unknown): Value
  setVariable(name: string, value: Value): Value
}

// The library's own declarations do not resolve under TypeScript's "nodenext".
const BaseScope = Environment as unknown as new (parent?: Scope) => Scope

const moreTests: [string, (...values: Value[]) => boolean][] = [
  ['eq', (a, b) => equal(a, b)],
  ['equalto', (a, b) => equal(a, b)],
  ['ne', (a, b) => !equal(a, b)],
  ['lt', (a, b) => (a.value as number) < (b.value as number)],
  ['le', (a, b) => (a.value as number) <= (b.value as number)],
  ['gt', (a, b) => (a.value as number) > (b.value as number)],
  ['ge', (a, b) => (a.value as number) >= (b.value as number)],
  ['greaterthan', (a, b) => (a.value as number) > (b.value as number)],
  ['lessthan', (a, b) => (a.value as number) < (b.value as number)],
  ['divisibleby', (a, b) => (a.value as number) % (b.value as number) === 0],
  ['sameas', (a, b) => a.type === b.type && a.value === b.value],
  ['in', (a, b) => items(b).some((item) => equal(a, item))],
  ['float', (a) => a.type === 'FloatValue'],
]

export function newScope(parent?: Scope): Scope {
  const scope = new BaseScope(parent)
  scope.tests = tests
  return scope
}

const scratch = new BaseScope()
const tests = new Map([...scratch.tests, ...moreTests])

export function toValue(value: unknown): Value {
  scratch.variables.delete('value')
  return scratch.set('value', value)
}

export function toPlain({ value }: Value): unknown {
  if (Array.isArray(value)) return value.map(toPlain)
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, item]) => [key, toPlain(item)]))
  return value
}

/** What a loop runs over: items of a list, keys of an object, letters of a text. */
export function items({ type, value }: Value): Value[] {
  if (Array.isArray(value)) return value
  if (value instanceof Map) return [...value.keys()].map(toValue)
  if (typeof value === 'string') return Array.from(value, toValue)
  throw new Error(`${type} is not iterable`)
}

/** Python's `==`. */
export function equal(a: Value, b: Value): boolean {
  if (Array.isArray(a.value) && Array.isArray(b.value)) {
    const other = b.value as Value[]
    return a.value.length === other.length && a.value.every((item, i) => equal(item, other[i]))
  }
  if (a.value instanceof Map && b.value instanceof Map) {
    const other = b.value as Map<string, Value>
    if (a.value.size !== other.size) return false
    return [...(a.value as Map<string, Value>)].every(([key, item]) => {
      const match = other.get(key)
      return match !== undefined && equal(item, match)
    })
  }
  return numeric(a.value) === numeric(b.value)
}

/** Python's booleans are the numbers 0 and 1. */
function numeric(value: unknown): unknown {
  return typeof value === 'boolean' ? Number(value) : value
}

/** What `{{ value }}` writes: Python's `str`. */
export function print(value: Value): string {
  if (value.type === 'StringValue') return String(value.value)
  return value.type === 'UndefinedValue' ? '' : represent(value)
}

/** Python's `repr`. */
function represent(value: Value): string {
  const { value: content, type } = value
  if (content === null || content === undefined) return 'None'
  if (typeof content === 'boolean') return content ? 'True' : 'False'
  if (typeof content === 'string') return quote(content)
  if (Array.isArray(content)) {
    const list = content.map(represent).join(', ')
    if (type !== 'TupleValue') return `[${list}]`
    return content.length === 1 ? `(${list},)` : `(${list})`
  }
  if (content instanceof Map) {
    return `{${[...content].map(([key, item]) => `${quote(key)}: ${represent(item)}`).join(', ')}}`
  }
  return value.toString()
}

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'"
  const escaped = JSON.stringify(text).slice(1, -1).replaceAll('\\"', '"')
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark
}
