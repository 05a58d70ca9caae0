/**
 * Jinja as Python runs it. `@huggingface/jinja` parses templates and evaluates most of them; this interpreter takes
 * over where its results are not Python's: how values are printed (`True`, `None`, `['a']`), the scope of a loop's
 * body, output before `break`, comparison of lists, `~` with any value, division by zero, attributes of what is
 * undefined, and string methods with arguments. Templates of models rely on these.
 */
import { Interpreter, parse, Template } from '@huggingface/jinja'
import { applyFilter, type FilterCall } from './jinja-filters.ts'
import { ARGUMENT_MARK, readTemplate, rewritten } from './jinja-source.ts'
import { equal, items, newScope, print, type Scope, toPlain, toValue, type Value } from './jinja-values.ts'
import { callStringMethod } from './string-methods.ts'

interface Node {
  readonly type: string
  readonly [field: string]: unknown
}

const statements = new Set([
  'Program',
  'If',
  'For',
  'Break',
  'Continue',
  'Set',
  'Macro',
  'Comment',
  'CallStatement',
  'FilterStatement',
])

/** A template, parsed once, rendered with any variables. */
export class JinjaTemplate {
  readonly #program: Node
  readonly #testArguments: Node[]

  /** Throws where the template has a mistake. */
  constructor(template: string) {
    const { tokens, testArguments } = readTemplate(template)
    this.#program = parse(tokens as never) as unknown as Node
    this.#testArguments = testArguments.map((argument) => {
      const program = parse(argument as never) as unknown as Node
      return (program.body as Node[])[0]
    })
    markOutputs(this.#program)
  }

  /** Throws where the template raises, or uses what the library does not know. */
  render(variables: Record<string, unknown>): string {
    const scope = newScope()
    for (const [name, value] of Object.entries({ ...globals, ...variables })) scope.set(name, value)
    return String(new PythonInterpreter(scope, this.#testArguments).run(this.#program).value)
  }
}

const globals = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (message: string) => {
    throw new Error(message)
  },
  range: (start: number, stop?: number, step = 1) => {
    const [first, end] = stop === undefined ? [0, start] : [start, stop]
    return Array.from({ length: Math.max(0, Math.ceil((end - first) / step)) }, (_, i) => first + i * step)
  },
  dict: (fields = new Map<string, Value>()) =>
    Object.fromEntries([...fields].map(([k, v]) => [k, toPlain(v)])),
  cycler: (...values: unknown[]) => {
    let calls = 0
    return { next: () => values[calls++ % values.length] }
  },
  strftime_now: (format: string) => new Template('{{ strftime_now(format) }}').render({ format }),
}

/** Wraps the expressions whose values are printed, in all blocks of a program. */
function markOutputs(node: unknown): void {
  if (typeof node !== 'object' || node === null) return
  for (const [field, value] of node instanceof Map ? node : Object.entries(node)) {
    markOutputs(value)
    if (!Array.isArray(value) || !['body', 'alternate', 'defaultBlock'].includes(field as string)) continue
    const marked = (value as Node[]).map((item) =>
      statements.has(item.type) ? item : { type: 'Output', item },
    )
    Object.assign(node, { [field as string]: marked })
  }
}

/** Leaves a loop's body; the text that was written before counts. */
class LoopExit extends Error {
  readonly kind: string
  text = ''

  constructor(kind: string) {
    super(`${kind} outside of a loop`)
    this.kind = kind
  }
}

// The library's own declarations do not resolve under TypeScript's "nodenext".
const BaseInterpreter = Interpreter as unknown as new (
  scope: Scope,
) => { run(program: Node): Value; evaluate(node: Node, scope: Scope): Value }

const comparisons: Record<string, ((a: unknown, b: unknown) => boolean) | undefined> = {
  '<': (a, b) => (a as number) < (b as number),
  '<=': (a, b) => (a as number) <= (b as number),
  '>': (a, b) => (a as number) > (b as number),
  '>=': (a, b) => (a as number) >= (b as number),
}

class PythonInterpreter extends BaseInterpreter {
  readonly #testArguments: readonly Node[]

  constructor(scope: Scope, testArguments: readonly Node[]) {
    super(scope)
    this.#testArguments = testArguments
  }

  override evaluate(node: Node, scope: Scope): Value {
    return this.#evaluate(node, scope) ?? super.evaluate(node, scope)
  }

  /** Undefined for a node that is left to the library. */
  #evaluate(node: Node, scope: Scope): Value | undefined {
    switch (node?.type) {
      case 'Evaluated':
        return node.value as Value
      case 'Output':
        return toValue(print(this.#value(node.item, scope)))
      case 'Program':
        return toValue(this.#block(node.body, scope))
      case 'If':
        return toValue(this.#block(this.#isTrue(node.test, scope) ? node.body : node.alternate, scope))
      case 'For':
        return toValue(this.#loop(node, scope))
      case 'Break':
      case 'Continue':
        throw new LoopExit(node.type)
      case 'BinaryExpression':
        return this.#binary(node, scope)
      case 'MemberExpression':
        return this.#member(node, scope)
      case 'CallExpression':
        return this.#rewrittenCall(node, scope) ?? this.#stringMethod(node, scope)
      case 'TestExpression':
        return this.#test(node, scope)
      case 'FilterExpression':
        return this.#filter(node, scope)
      default:
        return undefined
    }
  }

  #value(node: unknown, scope: Scope): Value {
    return this.evaluate(node as Node, scope)
  }

  /** What the library makes of a node, some of whose parts are evaluated already. */
  #library(node: Node, scope: Scope): Value {
    return super.evaluate(node, scope)
  }

  #isTrue(node: unknown, scope: Scope): boolean {
    return this.#value(node, scope).__bool__().value
  }

  #block(nodes: unknown, scope: Scope): string {
    let text = ''
    for (const node of nodes as Node[]) {
      try {
        const value = this.#value(node, scope)
        if (value.type === 'StringValue') text += value.value
      } catch (error) {
        if (error instanceof LoopExit) error.text = text + error.text
        throw error
      }
    }
    return text
  }

  #loop(node: Node, scope: Scope): string {
    const iterable = node.iterable as Node
    const source = (iterable.type === 'SelectExpression' ? iterable.lhs : iterable) as Node
    const recursive =
      source.type === 'CallExpression' && (source.callee as Node).value === rewritten.recursive
    const list = recursive ? (source.args as Node[])[0] : source
    return this.#rounds(node, this.#value(list, scope), recursive, scope)
  }

  #rounds(node: Node, list: Value, recursive: boolean, scope: Scope): string {
    const { iterable, loopvar } = node as { iterable: Node; loopvar: Node } & Node
    const round = (item: Value) => {
      const inner = newScope(scope)
      assign(inner, loopvar, item)
      return inner
    }
    const filtered = iterable.type === 'SelectExpression'
    const all = items(list)
    const chosen = filtered ? all.filter((item) => this.#isTrue(iterable.test, round(item))) : all
    if (chosen.length === 0) return this.#block(node.defaultBlock, scope)
    let text = ''
    for (const [i, item] of chosen.entries()) {
      const inner = round(item)
      const loop = loopVariable(chosen, i)
      inner.setVariable('loop', loop)
      if (recursive) recursions.set(loop, (children) => this.#rounds(node, children, true, scope))
      try {
        text += this.#block(node.body, inner)
      } catch (error) {
        if (!(error instanceof LoopExit)) throw error
        text += error.text
        if (error.kind === 'Break') break
      }
    }
    return text
  }

  #binary(node: Node, scope: Scope): Value | undefined {
    const operator = operatorOf(node)
    // These two decide for themselves what is evaluated.
    if (operator === 'and' || operator === 'or') return undefined
    if (isComparison(node) && isComparison(node.left as Node)) return this.#comparisons(node, scope)
    const left = this.#value(node.left, scope)
    const right = this.#value(node.right, scope)
    return this.#operate(node, left, right, scope)
  }

  /** `a < b < c` is `a < b and b < c`. */
  #comparisons(node: Node, scope: Scope): Value {
    const chain: Node[] = []
    let first = node
    while (isComparison(first)) {
      chain.unshift(first)
      first = first.left as Node
    }
    let left = this.#value(first, scope)
    for (const comparison of chain) {
      const right = this.#value(comparison.right, scope)
      if (!this.#operate(comparison, left, right, scope).__bool__().value) return toValue(false)
      left = right
    }
    return toValue(true)
  }

  #operate(node: Node, left: Value, right: Value, scope: Scope): Value {
    const operator = operatorOf(node)
    if (operator === '==') return toValue(equal(left, right))
    if (operator === '!=') return toValue(!equal(left, right))
    if (operator === '~') return toValue(print(left) + print(right))
    if (['/', '//', '%'].includes(operator) && right.value === 0) throw new Error('division by zero')
    const compare = comparisons[operator]
    if (compare && comparable(left, right)) return toValue(compare(left.value, right.value))
    if (operator === '%' && left.type === 'IntegerValue' && right.type === 'IntegerValue') {
      const divisor = right.value as number
      // Python's remainder has the sign of the divisor.
      return toValue((((left.value as number) % divisor) + divisor) % divisor)
    }
    if (operator === '*') {
      const repeated = repeat(left, right) ?? repeat(right, left)
      if (repeated) return repeated
    }
    return this.#library({ ...node, left: evaluated(left), right: evaluated(right) }, scope)
  }

  /** What `readTemplate` put in the place of what the library cannot parse, and the call of a recursive loop. */
  #rewrittenCall(node: Node, scope: Scope): Value | undefined {
    const callee = node.callee as Node
    if (callee.type !== 'Identifier') return undefined
    const args = node.args as Node[]
    if (callee.value === rewritten.group) return this.#value(args[0], scope)
    if (callee.value === rewritten.tuple) return this.#tuple([this.#value(args[0], scope)], scope)
    if (callee.value !== 'loop') return undefined
    const again = recursions.get(this.#value(callee, scope))
    return again && toValue(again(this.#value(args[0], scope)))
  }

  #test(node: Node, scope: Scope): Value {
    const [name, index] = String((node.test as Node).value).split(ARGUMENT_MARK)
    const operand = this.#value(node.operand, scope)
    const args = index === undefined ? [] : this.#arguments(this.#testArguments[Number(index)], scope)
    return toValue(runTest(name, operand, args, scope) !== node.negate)
  }

  /** Those of a test: what stands in brackets, or the value itself. */
  #arguments(node: Node, scope: Scope): Value[] {
    const grouped = node.type === 'CallExpression' && (node.callee as Node).value === rewritten.group
    if (node.type === 'TupleLiteral') return (node.value as Node[]).map((item) => this.#value(item, scope))
    return [this.#value(grouped ? (node.args as Node[])[0] : node, scope)]
  }

  #filter(node: Node, scope: Scope): Value {
    const filter = node.filter as Node
    const operand = this.#value(node.operand, scope)
    const called = filter.type === 'CallExpression'
    const name = String((called ? (filter.callee as Node) : filter).value)
    const args = called ? (filter.args as Node[]) : []
    const library = (value: Value, applied: Node) =>
      this.#library({ type: 'FilterExpression', operand: evaluated(value), filter: applied }, scope)
    if (args.some((arg) => /Spread/.test(arg.type))) return library(operand, filter)
    const isNamed = (arg: Node) => arg.type === 'KeywordArgumentExpression'
    const call: FilterCall = {
      positional: args.filter((arg) => !isNamed(arg)).map((arg) => this.#value(arg, scope)),
      named: new Map(
        args.filter(isNamed).map((arg) => [String((arg.key as Node).value), this.#value(arg.value, scope)]),
      ),
      filter: (inner, value, values) => {
        const own = applyFilter(inner, value, { ...call, positional: values, named: new Map() })
        if (own) return own
        const callee = { type: 'Identifier', value: inner }
        return library(
          value,
          values.length ? { type: 'CallExpression', callee, args: values.map(evaluated) } : callee,
        )
      },
      test: (inner, value, values) => runTest(inner, value, values, scope),
      member: (value, field) =>
        field.split('.').reduce((object, part) => {
          const property = evaluated(toValue(/^\d+$/.test(part) ? Number(part) : part))
          return this.#library(
            { type: 'MemberExpression', object: evaluated(object), property, computed: true },
            scope,
          )
        }, value),
      tuple: (values) => this.#tuple(values, scope),
    }
    return applyFilter(name, operand, call) ?? library(operand, filter)
  }

  #member(node: Node, scope: Scope): Value {
    const object = this.#value(node.object, scope)
    if (object.type === 'UndefinedValue') {
      const name =
        (node.object as Node).type === 'Identifier' ? `'${(node.object as Node).value}'` : 'a value'
      throw new Error(`${name} is undefined`)
    }
    return this.#library({ ...node, object: evaluated(object) }, scope)
  }

  /** A method of Python's strings that the library lacks, or takes without arguments. */
  #stringMethod(node: Node, scope: Scope): Value | undefined {
    const callee = node.callee as Node
    const property = callee.property as Node | undefined
    if (callee.type !== 'MemberExpression' || callee.computed || property?.type !== 'Identifier')
      return undefined
    const object = this.#value(callee.object, scope)
    const call = { ...node, callee: { ...callee, object: evaluated(object) } }
    const args = node.args as Node[]
    const positional = !args.some((arg) => /Keyword|Spread/.test(arg.type))
    if (object.type === 'StringValue' && positional) {
      const values = args.map((arg) => toPlain(this.#value(arg, scope)))
      const result = callStringMethod(String(property.value), String(object.value), values)
      if (result !== undefined)
        return returnsTuple(property.value)
          ? this.#tuple((result as unknown[]).map(toValue), scope)
          : toValue(result)
    }
    return this.#library(call, scope)
  }

  #tuple(values: Value[], scope: Scope): Value {
    return this.#library({ type: 'TupleLiteral', value: values.map(evaluated) }, scope)
  }
}

/** How a recursive loop runs again over other items, by its `loop` variable. */
const recursions = new WeakMap<Value, (items: Value) => string>()

function runTest(name: string, operand: Value, args: readonly Value[], scope: Scope): boolean {
  const test = scope.tests.get(name)
  if (!test) throw new Error(`Unknown test: ${name}`)
  return test(operand, ...args)
}

/** Numbers with numbers, where booleans are such, and texts with texts. */
function comparable(a: Value, b: Value): boolean {
  const kind = ({ value }: Value) => (typeof value === 'boolean' ? 'number' : typeof value)
  return kind(a) === kind(b) && (kind(a) === 'number' || kind(a) === 'string')
}

/** A text or a list, several times; undefined where these are none. */
function repeat(value: Value, times: Value): Value | undefined {
  const count = Math.max(0, Number(times.value))
  if (times.type !== 'IntegerValue') return undefined
  if (typeof value.value === 'string') return toValue(value.value.repeat(count))
  if (!Array.isArray(value.value)) return undefined
  const list = toValue([])
  list.value = Array.from({ length: count }, () => value.value as Value[]).flat()
  return list
}

function operatorOf(node: Node): string {
  return (node.operator as { value: string }).value
}

function isComparison(node: Node): boolean {
  return node.type === 'BinaryExpression' && /^([<>]=?|[=!]=|in|not in)$/.test(operatorOf(node))
}

function returnsTuple(method: unknown): boolean {
  return method === 'partition' || method === 'rpartition'
}

function evaluated(value: Value): Node {
  return { type: 'Evaluated', value }
}

/** Sets a loop's variable, or several that an item is unpacked into. */
function assign(scope: Scope, target: Node, item: Value): void {
  if (target.type === 'Identifier') {
    scope.setVariable(String(target.value), item)
    return
  }
  const names = target.value as Node[]
  const values = items(item)
  if (names.length !== values.length)
    throw new Error(`cannot unpack ${values.length} items into ${names.length}`)
  for (const [i, name] of names.entries()) assign(scope, name, values[i])
}

function loopVariable(all: readonly Value[], index0: number): Value {
  const { length } = all
  const loop = toValue({
    index: index0 + 1,
    index0,
    revindex: length - index0,
    revindex0: length - index0 - 1,
    first: index0 === 0,
    last: index0 === length - 1,
    length,
    cycle: (...values: unknown[]) => values[index0 % values.length],
  })
  const fields = loop.value as Map<string, Value>
  fields.set('previtem', all[index0 - 1] ?? toValue(undefined))
  fields.set('nextitem', all[index0 + 1] ?? toValue(undefined))
  return loop
}
