import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Every module that a page loads along with `entry`: static imports that are not types alone. */
async function loaded(entry: string, seen = new Map<string, string[]>()): Promise<Map<string, string[]>> {
  if (seen.has(entry)) return seen
  const source = await readFile(join(root, entry), 'utf8')
  const statement = /^(?:import|export)\s+(?!type\b)(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm
  const imports = Array.from(source.matchAll(statement), (match) => match[1])
  seen.set(entry, imports)
  for (const name of imports) if (name.startsWith('.')) await loaded(join(dirname(entry), name), seen)
  return seen
}

test.each(['hub/index.ts', 'data/index.ts'])('%s loads nothing of Node and no package', async (entry) => {
  const modules = await loaded(entry)
  expect(modules.size).toBeGreaterThan(5)
  expect([...modules.values()].flat().filter((name) => !name.startsWith('.'))).toEqual([])
})

test('data imports no part of this library but hub', async () => {
  const parts = new Set([...(await loaded('data/index.ts')).keys()].map((path) => path.split('/')[0]))
  expect(parts).toEqual(new Set(['data', 'hub']))
})
