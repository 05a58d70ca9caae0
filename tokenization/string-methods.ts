/** Methods of Python's strings that `@huggingface/jinja` lacks, or has without their arguments. */

/** The result; undefined where the method is none of these. */
export function callStringMethod(name: string, text: string, args: unknown[]): unknown {
  return Object.hasOwn(methods, name) ? methods[name](text, ...args) : undefined
}

// biome-ignore lint/suspicious/noExplicitAny: arguments come from templates
const methods: Record<string, (text: string, ...args: any[]) => unknown> = {
  strip: (text, letters) => stripEnd(stripStart(text, letters), letters),
  lstrip: stripStart,
  rstrip: stripEnd,
  find: (text, part: string) => text.indexOf(part),
  rfind: (text, part: string) => text.lastIndexOf(part),
  index: (text, part: string) => found(text.indexOf(part)),
  count: (text, part: string) => text.split(part).length - 1,
  removeprefix: (text, part: string) => (text.startsWith(part) ? text.slice(part.length) : text),
  removesuffix: (text, part: string) => (part && text.endsWith(part) ? text.slice(0, -part.length) : text),
  partition: (text, part: string) => {
    const at = text.indexOf(part)
    return at < 0 ? [text, '', ''] : [text.slice(0, at), part, text.slice(at + part.length)]
  },
  rpartition: (text, part: string) => {
    const at = text.lastIndexOf(part)
    return at < 0 ? ['', '', text] : [text.slice(0, at), part, text.slice(at + part.length)]
  },
  rsplit: (text, part?: string | null, limit = -1) => {
    const pieces = part ? text.split(part) : (text.match(/\S+/g) ?? [])
    if (!part || limit < 0 || pieces.length <= limit + 1) return pieces
    const rest = pieces.length - limit
    return [pieces.slice(0, rest).join(part), ...pieces.slice(rest)]
  },
  splitlines: (text) => text.split(/\r\n|[\n\r]/).filter((line, i, all) => line !== '' || i < all.length - 1),
  join: (text, list: unknown[]) => list.join(text),
  isdigit: (text) => /^\p{Nd}+$/u.test(text),
  isalpha: (text) => /^\p{L}+$/u.test(text),
  isalnum: (text) => /^[\p{L}\p{N}]+$/u.test(text),
  isspace: (text) => /^\s+$/.test(text),
  isupper: (text) => text !== text.toLowerCase() && text === text.toUpperCase(),
  islower: (text) => text !== text.toUpperCase() && text === text.toLowerCase(),
  format: (text, ...values: unknown[]) => {
    let next = 0
    return text.replace(/\{(\d*)\}/g, (_, at: string) => String(values[at === '' ? next++ : Number(at)]))
  },
  zfill: (text, width: number) => text.padStart(width, '0'),
}

function stripStart(text: string, letters?: string | null): string {
  if (!letters) return text.trimStart()
  let start = 0
  while (start < text.length && letters.includes(text[start])) start++
  return text.slice(start)
}

function stripEnd(text: string, letters?: string | null): string {
  if (!letters) return text.trimEnd()
  let end = text.length
  while (end > 0 && letters.includes(text[end - 1])) end--
  return text.slice(0, end)
}

function found(at: number): number {
  if (at < 0) throw new Error('substring not found')
  return at
}
