/**
 * Jinja as Python runs it. `@huggingface/jinja` parses templates and evaluates most of them; this interpreter takes
 * over where its results are not Python's: how values are printed (`True`, `None`, `['a']`), the scope of a loop's
 * body, output before `break`, comparison of lists, `~` with any value, division by zero, attributes of what is
 * undefined, and string methods with arguments. Templates of models rely on these.
 */
import { Interpreter, parse, Template, tokenize } from '@huggingface/jinja'
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

  /** Throws where the template has a mistake. */
  constructor(source: string) {
    this.#program = parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })) as Node
    markOutputs(this.#program)
  }

  /** Throws where the template raises, or uses what the library does not know. */
  render(variables: Record<string, unknown>): string {
    const scope = newScope()
    for (const [name, value] of Object.entries({ ...globals, ...variables })) scope.set(name, value)
    return String(new PythonInterpreter(scope).run(this.#program).value)
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

class PythonInterpreter extends BaseInterpreter {
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
        return this.#stringMethod(node, scope)
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
    const { iterable, loopvar } = node as { iterable: Node; loopvar: Node } & Node
    const round = (item: Value) => {
      const inner = newScope(scope)
      assign(inner, loopvar, item)
      return inner
    }
    const filtered = iterable.type === 'SelectExpression'
    const all = items(this.#value(filtered ? iterable.lhs : iterable, scope))
    const chosen = filtered ? all.filter((item) => this.#isTrue(iterable.test, round(item))) : all
    if (chosen.length === 0) return this.#block(node.defaultBlock, scope)
    let text = ''
    for (const [i, item] of chosen.entries()) {
      const inner = round(item)
      inner.setVariable('loop', loopVariable(chosen, i))
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
    const operator = (node.operator as { value: string }).value
    // These two decide for themselves what is evaluated.
    if (operator === 'and' || operator === 'or') return undefined
    const left = this.#value(node.left, scope)
    const right = this.#value(node.right, scope)
    if (operator === '==') return toValue(equal(left, right))
    if (operator === '!=') return toValue(!equal(left, right))
    if (operator === '~') return toValue(print(left) + print(right))
    if (['/', '//', '%'].includes(operator) && right.value === 0) throw new Error('division by zero')
    return this.#library({ ...node, left: evaluated(left), right: evaluated(right) }, scope)
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
        return returnsTuple(property.value) ? this.#tuple(result as unknown[], scope) : toValue(result)
    }
    return this.#library(call, scope)
  }

  #tuple(values: unknown[], scope: Scope): Value {
    return this.#library(
      { type: 'TupleLiteral', value: values.map((value) => evaluated(toValue(value))) },
      scope,
    )
  }
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
