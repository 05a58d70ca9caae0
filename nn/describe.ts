import { type AnyModule, childrenOf } from './tree.ts'

const indent = (text: string): string => text.replaceAll('\n', '\n  ')

/** PyTorch's nested form; equal neighbours are folded: `(0-11): 12 x BertLayer(...)`. */
export function describeModule(module: AnyModule): string {
  const groups: { first: string; last: string; count: number; text: string }[] = []
  for (const [name, child] of childrenOf(module)) {
    const text = describeModule(child)
    const before = groups.at(-1)
    if (before?.text === text && /^\d+$/.test(name)) {
      before.last = name
      before.count++
    } else groups.push({ first: name, last: name, count: 1, text })
  }
  const head = module.constructor.name
  if (groups.length === 0) return `${head}(${module.extraRepr()})`
  const lines = groups.map(({ first, last, count, text }) =>
    count === 1 ? `  (${first}): ${indent(text)}` : `  (${first}-${last}): ${count} x ${indent(text)}`,
  )
  const extra = module.extraRepr()
  return `${head}(\n${extra ? `  ${extra}\n` : ''}${lines.join('\n')}\n)`
}
