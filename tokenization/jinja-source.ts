/**
 * What `@huggingface/jinja` does not read, rewritten into what it does, before and after its lexer: whitespace control with
 * `+`, `raw` blocks, numbers with an exponent, commas at the end of lists, tests with arguments, recursive loops, and
 * brackets, without which `1 < 2 <= 2` and `(1 < 2) <= 2` would be the same to its parser.
 */
import { tokenize } from '@huggingface/jinja'

export interface Token {
  value: string
  type: string
}

/** Names that stand for what the library's grammar has no node for; no template can spell them. */
export const rewritten = { group: '#group', tuple: '#tuple', recursive: '#recursive' }

/** In the name of a test: behind it stands the number of its argument. */
export const ARGUMENT_MARK = '#'

export interface Source {
  tokens: Token[]
  /** Tokens of the arguments of tests, each a template of one expression. */
  testArguments: Token[][]
}

export function readTemplate(template: string): Source {
  const testArguments: Token[][] = []
  const tokens = tokenize(controlWhitespace(replaceRaw(template.replace(/\n$/, '')))) as Token[]
  return {
    tokens: rewriteBrackets(rewriteTests(rewriteLoops(joinNumbers(tokens)), testArguments)),
    testArguments,
  }
}

/** `trim_blocks` and `lstrip_blocks`, which a `+` in a tag turns off for it. */
function controlWhitespace(source: string): string {
  return source
    .replace(/^[ \t]*(\{(?:%(?!\+)|#(?!\+)|-))/gm, '$1')
    .replace(/((?:(?<!\+)[%#]|-)\})\n/g, '$1')
    .replace(/(\{[%#])\+/g, '$1')
    .replace(/\+([%#]\})/g, '$1')
}

/** A raw block becomes an expression that writes its text. */
function replaceRaw(source: string): string {
  const block =
    /(^[ \t]*)?\{%([-+]?)\s*raw\s*([-+]?)%\}([\s\S]*?)(^[ \t]*)?\{%([-+]?)\s*endraw\s*([-+]?)%\}(\n?)/gm
  return source.replace(
    block,
    (_, indent = '', open, openEnd, body, bodyIndent = '', close, closeEnd, last) => {
      let text = body + (close === '+' ? bodyIndent : '')
      if (openEnd === '-') text = text.trimStart()
      if (close === '-') text = text.trimEnd()
      const literal = Array.from(text as string, escapeLetter).join('')
      const before = open === '+' ? indent : ''
      const after = closeEnd === '+' ? last : ''
      return `${before}{{${open === '-' ? '-' : ''} "${literal}" ${closeEnd === '-' ? '-' : ''}}}${after}`
    },
  )
}

function escapeLetter(letter: string): string {
  const code = letter.codePointAt(0)!
  // Brackets too: nothing in the text may look like a tag.
  return code > 126 || /[A-Za-z0-9 ]/.test(letter) ? letter : `\\x${code.toString(16).padStart(2, '0')}`
}

/** `1e3`, which the lexer takes for a number and a name. */
function joinNumbers(tokens: Token[]): Token[] {
  const joined: Token[] = []
  for (let i = 0; i < tokens.length; i++) {
    const [number, exponent, sign, digits] = tokens.slice(i, i + 4)
    const name = exponent?.type === 'Identifier' && number.type === 'NumericLiteral' ? exponent.value : ''
    if (/^e\d+$/i.test(name)) {
      joined.push(float(number.value + name))
      i += 1
    } else if (/^e$/i.test(name) && /^[+-]$/.test(sign?.value ?? '') && /^\d+$/.test(digits?.value ?? '')) {
      joined.push(float(number.value + name + sign.value + digits.value))
      i += 3
    } else joined.push(number)
  }
  return joined
}

function float(text: string): Token {
  const value = String(Number(text))
  return { type: 'NumericLiteral', value: /[.e]/.test(value) ? value : `${value}.0` }
}

/** `for x in list recursive` becomes `for x in #recursive(list)`. */
function rewriteLoops(tokens: Token[]): Token[] {
  const out = [...tokens]
  for (let end = 0; end < out.length; end++) {
    if (
      out[end].value !== 'recursive' ||
      out[end].type !== 'Identifier' ||
      out[end + 1]?.type !== 'CloseStatement'
    )
      continue
    const open = out.findLastIndex((token, i) => i < end && token.type === 'OpenStatement')
    if (out[open + 1]?.value !== 'for') continue
    const start = findOutside(out, open, end, 'in') + 1
    const condition = findOutside(out, start, end, 'if')
    const listEnd = condition < 0 ? end : condition
    const list = out.slice(start, listEnd)
    const call = [name(rewritten.recursive), bracket('('), ...list, bracket(')')]
    out.splice(start, end + 1 - start, ...call, ...out.slice(listEnd, end))
  }
  return out
}

/** Where a name stands outside of all brackets; -1 where it does not. */
function findOutside(tokens: readonly Token[], from: number, to: number, wanted: string): number {
  let depth = 0
  for (let i = from; i < to; i++) {
    depth += depthChange(tokens[i])
    if (depth === 0 && tokens[i].type === 'Identifier' && tokens[i].value === wanted) return i
  }
  return -1
}

const noArguments = new Set(['else', 'or', 'and', 'is', 'in', 'if', 'not', 'recursive'])

/** `x is divisibleby 3` becomes `x is divisibleby#0`, the argument kept aside. */
function rewriteTests(tokens: Token[], testArguments: Token[][]): Token[] {
  const out: Token[] = []
  for (let i = 0; i < tokens.length; i++) {
    out.push(tokens[i])
    const isTest = tokens[i].type === 'Identifier' && tokens[i].value === 'is' && inTag(tokens, i)
    if (!isTest) continue
    if (tokens[i + 1]?.value === 'not') out.push(tokens[++i])
    const test = tokens[i + 1]
    if (test?.type !== 'Identifier') continue
    const end = argumentEnd(tokens, i + 2)
    if (end === i + 2) continue
    testArguments.push(expression(rewriteBrackets(rewriteTests(tokens.slice(i + 2, end), testArguments))))
    out.push(name(`${test.value}${ARGUMENT_MARK}${testArguments.length - 1}`))
    i = end - 1
  }
  return out
}

/** Not a member, `x.is`. */
function inTag(tokens: readonly Token[], i: number): boolean {
  return i > 0 && tokens[i - 1].type !== 'Dot' && !tokens[i - 1].type.startsWith('Open')
}

/** Behind the argument that begins here, a value with its members and calls; where it begins if there is none. */
function argumentEnd(tokens: readonly Token[], start: number): number {
  const first = tokens[start]
  const begins =
    /Literal|OpenParen|OpenSquareBracket|OpenCurlyBracket/.test(first?.type ?? '') ||
    (first?.type === 'Identifier' && !noArguments.has(first.value))
  if (!begins) return start
  let i = closing(tokens, start) + 1
  while (/^(Dot|OpenParen|OpenSquareBracket)$/.test(tokens[i]?.type ?? '')) {
    i = tokens[i].type === 'Dot' ? i + 2 : closing(tokens, i) + 1
  }
  return i
}

/** Where the bracket that opens at `start` closes; `start` itself for any other token. */
function closing(tokens: readonly Token[], start: number): number {
  let depth = 0
  for (let i = start; i < tokens.length; i++) {
    depth += depthChange(tokens[i])
    if (depth === 0) return i
  }
  throw new Error(`a bracket is not closed: ${tokens[start].value}`)
}

function depthChange({ type }: Token): number {
  if (/^Open(Paren|SquareBracket|CurlyBracket)$/.test(type)) return 1
  return /^Close(Paren|SquareBracket|CurlyBracket)$/.test(type) ? -1 : 0
}

const keywords = new Set(['in', 'not', 'and', 'or', 'is', 'if', 'elif', 'else', 'set'])

/** Marks brackets that only group, and tuples of one; leaves out commas in front of a closing bracket. */
function rewriteBrackets(tokens: Token[]): Token[] {
  const out: Token[] = []
  tokens.forEach((token, i) => {
    const next = tokens[i + 1]
    if (token.type === 'Comma' && next && depthChange(next) < 0) return
    if (token.type === 'OpenParen' && !isCall(tokens, i)) {
      const commas = commasIn(tokens, i)
      const single = commas.length === 1 && tokens[commas[0] + 1].type === 'CloseParen'
      if (single) out.push(name(rewritten.tuple))
      else if (commas.length === 0 && next?.type !== 'CloseParen') out.push(name(rewritten.group))
    }
    out.push(token)
  })
  return out
}

/** Of a call, a macro's parameters, or a filter's arguments. */
function isCall(tokens: readonly Token[], open: number): boolean {
  const before = tokens[open - 1]
  if (!before) return false
  if (before.type === 'Identifier') return !keywords.has(before.value) || tokens[open - 2]?.type === 'Dot'
  return before.type === 'CloseParen' || before.type === 'CloseSquareBracket'
}

function commasIn(tokens: readonly Token[], open: number): number[] {
  const commas: number[] = []
  let depth = 0
  for (let i = open; i <= closing(tokens, open); i++) {
    depth += depthChange(tokens[i])
    if (depth === 1 && tokens[i].type === 'Comma') commas.push(i)
  }
  return commas
}

function expression(tokens: Token[]): Token[] {
  return [{ type: 'OpenExpression', value: '{{' }, ...tokens, { type: 'CloseExpression', value: '}}' }]
}

function name(value: string): Token {
  return { type: 'Identifier', value }
}

function bracket(value: '(' | ')'): Token {
  return { type: value === '(' ? 'OpenParen' : 'CloseParen', value }
}
