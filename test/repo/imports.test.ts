import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { checkImports, findCycles, importsOf } from '../../scripts/check-imports.ts'
import { temporaryFolder } from '../hub/temporary-folder.ts'

/** What the check says of a project that holds `files` alone. */
async function errorsOf(files: Record<string, string>): Promise<string[]> {
  const root = await temporaryFolder()
  const manifest = { dependencies: { commander: '1.0.0' }, optionalDependencies: { webgpu: '1.0.0' } }
  for (const [path, text] of Object.entries({ 'package.json': JSON.stringify(manifest), ...files })) {
    await mkdir(dirname(join(root, path)), { recursive: true })
    await writeFile(join(root, path), text)
  }
  return (await checkImports(root)).errors
}

test('this repository keeps the directions', async () => {
  const { errors, files } = await checkImports(fileURLToPath(new URL('../..', import.meta.url)))
  expect(errors).toEqual([])
  expect(files).toBeGreaterThan(50)
})

test.each([
  ['core/a.ts', "import '../nn/b.ts'"],
  ['core/a.ts', "import type { B } from '../nn/b.ts'"],
  ['nn/a.ts', "export * from '../hub/b.ts'"],
  ['data/a.ts', "await import('../core/b.ts')"],
  ['tokenization/a.ts', "import '../core/b.ts'"],
  ['transformers/a.ts', "import '../scripts/b.ts'"],
  ['scripts/a.ts', "import '../test/b.ts'"],
  ['core/expr.ts', "import './graph.ts'"],
  ['core/ops/a.ts', "import '../plan/lower.ts'"],
  ['core/plan/a.ts', "import '../ops/define.ts'"],
  ['core/autograd.ts', "import './plan/lower.ts'"],
  ['core/backends/cpu/a.ts', "import type { Node } from '../../graph.ts'"],
  ['core/backends/cpu/a.ts', "import '../webgpu/b.ts'"],
  ['core/a.ts', "import 'node:fs'"],
  ['core/a.ts', "import 'webgpu'"],
  ['hub/a.ts', "import 'left-pad'"],
])('refused: %s with %s', async (file, text) => {
  const errors = await errorsOf({ [file]: `\n${text}` })
  expect(errors).toHaveLength(1)
  expect(errors[0]).toMatch(new RegExp(`^${file}:2 imports `))
})

test.each([
  ['nn/a.ts', "import '../core/b.ts'"],
  ['data/a.ts', "import '../hub/b.ts'"],
  ['core/ops/a.ts', "import type { Combine } from '../plan/kernel.ts'"],
  ['core/backends/cpu/a.ts', "import '../../expr.ts'; import './b.ts'; import '../../plan/kernel.ts'"],
  ['core/a.ts', "await import('webgpu'); await import('node:fs')"],
  ['hub/node-files.ts', "import 'node:fs'"],
  ['scripts/a.ts', "import 'commander'; import 'node:fs'"],
])('allowed: %s with %s', async (file, text) => {
  expect(await errorsOf({ [file]: text })).toEqual([])
})

test('a circle of imports is named, one of types alone is not', async () => {
  const [circle] = await errorsOf({ 'nn/a.ts': "import './b.ts'", 'nn/b.ts': "export { c } from './a.ts'" })
  expect(circle).toBe('circular imports: nn/a.ts -> nn/b.ts -> nn/a.ts')
  expect(
    await errorsOf({ 'nn/a.ts': "import './b.ts'", 'nn/b.ts': "import { type C } from './a.ts'" }),
  ).toEqual([])
})

test('a circle behind a chain and one behind a finished file are found', () => {
  const graph = new Map([
    ['a', ['b', 'c']],
    ['b', []],
    ['c', ['b', 'd']],
    ['d', ['c']],
  ])
  expect(findCycles(graph)).toEqual([['c', 'd']])
})

test('kinds of imports', () => {
  const source =
    "import type { A } from './a.ts'\nimport { b, type B } from './b.ts'\nvoid import('./c.ts')\n"
  expect(importsOf('x.ts', source)).toEqual([
    { specifier: './a.ts', line: 1, typeOnly: true, dynamic: false },
    { specifier: './b.ts', line: 2, typeOnly: false, dynamic: false },
    { specifier: './c.ts', line: 3, typeOnly: false, dynamic: true },
  ])
})
