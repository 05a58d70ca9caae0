/**
 * Holds the import directions of docs/architecture.md: `npm run check:imports`. The tables below are the rules; an import
 * they do not foresee is an error that names file, line and rule. Dynamic imports count for directions and packages, not
 * for cycles. Own code, since dependency-cruiser needs the compiler API that TypeScript 7 no longer has.
 */
import { readdir, readFile } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { basename, dirname, join, matchesGlob, posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseSync } from 'oxc-parser'

/** What each folder at the top may import, besides itself. */
const folders: Record<string, readonly string[]> = {
  core: [],
  nn: ['core'],
  tokenization: ['hub'],
  hub: [],
  data: ['hub'],
  transformers: ['core', 'nn', 'tokenization', 'hub', 'data'],
  scripts: ['core', 'nn', 'tokenization', 'hub', 'data', 'transformers'],
  models: ['core', 'nn', 'tokenization', 'hub', 'data', 'transformers', 'scripts'],
  examples: ['core', 'nn', 'tokenization', 'hub', 'data', 'transformers'],
  bench: ['core', 'nn', 'tokenization', 'hub', 'data', 'transformers', 'scripts'],
  test: [
    'core',
    'nn',
    'tokenization',
    'hub',
    'data',
    'transformers',
    'scripts',
    'models',
    'examples',
    'bench',
  ],
}

/** What is published: runs in browsers too, and may use only `dependencies` and `optionalDependencies`. */
const libraryFolders = ['core', 'nn', 'tokenization', 'hub', 'data', 'transformers']

/** Command-line files that are run from a clone only, and so may use development packages. */
const developmentOnly = [
  'scripts/build.ts',
  'scripts/build-*.ts',
  'scripts/check-*.ts',
  'scripts/start.ts',
  'scripts/start/**',
  'scripts/browser/**',
]

interface Rule {
  /** Whose imports. */
  readonly files: readonly string[]
  /** Only these of the repository's files, when given. */
  readonly only?: readonly string[]
  /** None of these. */
  readonly never?: readonly string[]
  /** Whether `import type` counts too. */
  readonly types: boolean
  readonly why: string
}

const scalarLevel = ['core/expr*.ts', 'core/math.ts', 'core/philox.ts', 'core/dtype.ts', 'core/shape.ts']
const execution = ['core/evaluate.ts', 'core/read.ts', 'core/device.ts', 'core/move.ts']

/** Inside core: expr <- ops <- graph, autograd <- plan, with the graph's nodes and handles shared by ops and plan. */
const coreRules: readonly Rule[] = [
  {
    files: scalarLevel,
    only: scalarLevel,
    types: true,
    why: 'scalar expressions, dtypes and shapes stand alone',
  },
  {
    files: ['core/backends/reference/**', 'core/backends/cpu/**', 'core/backends/webgpu/**'],
    only: [
      ...scalarLevel,
      'core/turn.ts',
      'core/backend.ts',
      'core/plan/kernel.ts',
      'core/plan/arena.ts',
      '{own}/**',
    ],
    types: true,
    why: 'a backend knows the scalar IR, kernels, their placement and the backend interface only',
  },
  {
    files: ['core/graph.ts', 'core/tensor.ts', 'core/op.ts', 'core/state.ts'],
    never: [
      'core/ops/**',
      'core/plan/**',
      'core/backends/**',
      'core/autograd.ts',
      'core/gradients.ts',
      ...execution,
    ],
    types: false,
    why: 'nodes and handles know no op, no gradient and no plan',
  },
  {
    files: ['core/ops/**'],
    never: ['core/plan/**', 'core/backends/**', 'core/autograd.ts', 'core/gradients.ts', ...execution],
    types: false,
    why: 'an op is a record: it neither plans nor runs',
  },
  {
    files: ['core/autograd.ts', 'core/gradients.ts'],
    never: ['core/plan/**', 'core/backends/**', ...execution],
    types: false,
    why: 'gradients are tensor ops',
  },
  {
    files: ['core/plan/**'],
    never: [
      'core/ops/**',
      'core/backends/**',
      'core/autograd.ts',
      'core/gradients.ts',
      'core/tensor.ts',
      ...execution,
    ],
    types: false,
    why: 'the planner knows nodes and op records, no particular op or backend',
  },
]

interface Import {
  /** As written. */
  readonly specifier: string
  readonly line: number
  readonly typeOnly: boolean
  readonly dynamic: boolean
}

/** Every import, re-export and literal dynamic import of a module. Throws on a syntax error. */
export function importsOf(file: string, source: string): Import[] {
  const { module, errors } = parseSync(file, source)
  if (errors.length > 0) throw new Error(`${file}: ${errors[0]!.message}`)
  const lineAt = (offset: number) => source.slice(0, offset).split('\n').length
  const found: Import[] = []
  for (const { moduleRequest, entries, start } of module.staticImports) {
    const typeOnly = entries.length > 0 && entries.every((e) => e.isType)
    found.push({ specifier: moduleRequest.value, line: lineAt(start), typeOnly, dynamic: false })
  }
  for (const { entries, start } of module.staticExports) {
    const from = entries.find((e) => e.moduleRequest)
    if (!from) continue
    const typeOnly = entries.every((e) => e.isType)
    found.push({ specifier: from.moduleRequest!.value, line: lineAt(start), typeOnly, dynamic: false })
  }
  for (const { moduleRequest, start } of module.dynamicImports) {
    const literal = /^(['"`])([^$]*)\1$/.exec(source.slice(moduleRequest.start, moduleRequest.end))
    if (literal) found.push({ specifier: literal[2]!, line: lineAt(start), typeOnly: false, dynamic: true })
  }
  return found
}

interface Manifest {
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
}

const matches = (path: string, globs: readonly string[]) => globs.some((glob) => matchesGlob(path, glob))
const top = (path: string) => path.split('/', 1)[0]!
const isLibrary = (file: string) => libraryFolders.includes(top(file))
const isBuiltin = (specifier: string) => specifier.startsWith('node:') || builtinModules.includes(specifier)

function directionError(file: string, target: string, typeOnly: boolean): string | undefined {
  const from = top(file)
  const to = top(target)
  const allowed = folders[from]
  if (allowed && from !== to && !allowed.includes(to))
    return `${from} imports only ${['itself', ...allowed].join(', ')}`
  for (const rule of coreRules) {
    if ((typeOnly && !rule.types) || !matches(file, rule.files)) continue
    const only = rule.only?.map((glob) => glob.replace('{own}', file.split('/').slice(0, 3).join('/')))
    if ((only && !matches(target, only)) || matches(target, rule.never ?? [])) return rule.why
  }
  return undefined
}

function packageError(file: string, imported: Import, manifest: Manifest): string | undefined {
  const { specifier, typeOnly, dynamic } = imported
  if (typeOnly) return undefined
  if (isBuiltin(specifier)) {
    if (!isLibrary(file) || dynamic || basename(file).includes('node')) return undefined
    return 'code for browsers: put it into a file named node-*.ts, or import it dynamically'
  }
  if (!isLibrary(file) && (top(file) !== 'scripts' || matches(file, developmentOnly))) return undefined
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
  if (manifest.dependencies?.[name]) return undefined
  if (!manifest.optionalDependencies?.[name]) return `${name} is not in dependencies of package.json`
  return dynamic ? undefined : `${name} is optional: import it dynamically`
}

/** The files of each circle of imports, in order, every circle once. */
export function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles: string[][] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    const at = path.indexOf(file)
    if (at >= 0) {
      cycles.push(path.slice(at))
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const next of graph.get(file) ?? []) visit(next)
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return cycles
}

async function sourceFiles(root: string): Promise<string[]> {
  const files: string[] = []
  for (const folder of Object.keys(folders)) {
    const entries = await readdir(join(root, folder), { recursive: true }).catch(() => [])
    for (const entry of entries) {
      const file = posix.join(folder, entry.replaceAll('\\', '/'))
      if (/\.(ts|js|mjs)$/.test(file) && !file.includes('node_modules/') && !file.endsWith('.d.ts'))
        files.push(file)
    }
  }
  return files.sort()
}

/** Checks every source file below `root`. Returns one line an error, and how many files it read. */
export async function checkImports(root: string): Promise<{ errors: string[]; files: number }> {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as Manifest
  const files = await sourceFiles(root)
  const errors: string[] = []
  const graph = new Map<string, string[]>()
  for (const file of files) {
    const runtime: string[] = []
    for (const imported of importsOf(file, await readFile(join(root, file), 'utf8'))) {
      const { specifier, line, typeOnly, dynamic } = imported
      const relative = specifier.startsWith('.')
      const target = relative ? posix.join(dirname(file), specifier) : specifier
      const error = relative ? directionError(file, target, typeOnly) : packageError(file, imported, manifest)
      if (error) errors.push(`${file}:${line} imports ${target}: ${error}`)
      if (relative && !typeOnly && !dynamic) runtime.push(target)
    }
    graph.set(file, runtime)
  }
  for (const cycle of findCycles(graph)) errors.push(`circular imports: ${[...cycle, cycle[0]].join(' -> ')}`)
  return { errors, files: files.length }
}

if (import.meta.main) {
  const { errors, files } = await checkImports(fileURLToPath(new URL('..', import.meta.url)))
  for (const error of errors) console.error(error)
  console.error(
    errors.length ? `${errors.length} import errors` : `imports of ${files} files keep their directions`,
  )
  process.exitCode = errors.length ? 1 : 0
}
