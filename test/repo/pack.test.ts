import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, { types: string; default: string }>
  scripts: Record<string, string>
}
const subpaths = Object.keys(manifest.exports)

async function run(command: string, args: string[], cwd: string): Promise<string> {
  const { stdout } = await promisify(execFile)(command, args, { cwd, maxBuffer: 1 << 26 })
  return stdout
}

/** Our production dependencies as npm installed them here: what npm finds in the project it asks no registry for. */
async function installedDependencies(): Promise<Record<string, string>> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; optional?: boolean; devOptional?: boolean }>
  }
  const production = Object.entries(lock.packages).filter(
    ([path, p]) => path && !p.dev && !p.optional && !p.devOptional,
  )
  return Object.fromEntries(
    production.map(([path]) => [path.replace(/^.*node_modules\//, ''), `file:${join(root, path)}`]),
  )
}

/** Somebody's empty project, where the packed package is installed. */
let project: string
let packed: string[]

beforeAll(async () => {
  project = await mkdtemp(join(tmpdir(), 'tunesmith-pack-'))
  await run(process.execPath, ['scripts/build.ts'], root)
  const listing = await run(
    'npm',
    ['pack', '--ignore-scripts', '--json', '--pack-destination', project],
    root,
  )
  const report = JSON.parse(listing) as { filename: string; files: { path: string }[] }[]
  packed = report[0]!.files.map((f) => f.path)
  const theirs = { private: true, type: 'module', dependencies: await installedDependencies() }
  await writeFile(join(project, 'package.json'), JSON.stringify(theirs))
  const flags = [
    '--ignore-scripts',
    '--omit=optional',
    '--install-links',
    '--offline',
    '--no-audit',
    '--no-fund',
  ]
  await run('npm', ['install', ...flags, `./${report[0]!.filename}`], project)
})

afterAll(() => rm(project, { recursive: true, force: true }))

test('the package carries what runs, the licence, and nothing else', () => {
  const allowed =
    /^(dist\/(core|nn|transformers|tokenization|hub|data|scripts)\/.*\.(js|d\.ts|wasm)|package\.json|LICENSE|NOTICE|README\.md)$/
  expect(packed.filter((path) => !allowed.test(path))).toEqual([])
  expect(packed).toEqual(expect.arrayContaining(['LICENSE', 'NOTICE', 'dist/tokenization/tokenizers.wasm']))
})

test('it installs without scripts and without optional packages', async () => {
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
    expect(manifest.scripts).not.toHaveProperty(script)
  const installed = await readdir(join(project, 'node_modules'))
  expect(installed).toContain('tunesmith')
  expect(installed).not.toContain('webgpu')
})

test.each(subpaths)('%s can be imported', async (subpath) => {
  const name = subpath.replace(/^\./, 'tunesmith')
  const code = `const all = await import('${name}'); console.log(JSON.stringify(Object.keys(all)))`
  const names = JSON.parse(
    await run(process.execPath, ['--input-type=module', '-e', code], project),
  ) as string[]
  expect(names.length).toBeGreaterThan(0)
})

test('every file that the code names by URL is in the package', async () => {
  const folder = join(project, 'node_modules/tunesmith')
  const missing: string[] = []
  let found = 0
  for (const path of packed.filter((p) => p.endsWith('.js'))) {
    const code = await readFile(join(folder, path), 'utf8')
    for (const [, target] of code.matchAll(/new URL\(\s*['"](\.[^'"]*)['"],\s*import\.meta\.url/g)) {
      found++
      if (!existsSync(new URL(target!, pathToFileURL(join(folder, path))))) missing.push(`${path}: ${target}`)
    }
  }
  expect(missing).toEqual([])
  expect(found).toBeGreaterThan(0)
})

test('the cpu computes with threads and lets the program end', async () => {
  const code = `
    import { ones, setDefaultDevice } from 'tunesmith'
    await setDefaultDevice('cpu', { threads: 2 })
    const x = ones([256, 256])
    for (let i = 0; i < 20; i++) console.log(await x.matmul(x).sum().item())`
  const lines = (await run(process.execPath, ['--input-type=module', '-e', code], project)).trim().split('\n')
  expect(new Set(lines)).toEqual(new Set([String(256 ** 3)]))
})

test('a bundler makes a page of it: worker and tokenizer beside it, nothing of Node in it', async () => {
  const code = `
    import { setDefaultDevice } from 'tunesmith'
    import { AutoModel, AutoTokenizer } from 'tunesmith/transformers'
    globalThis.all = { setDefaultDevice, AutoModel, AutoTokenizer }`
  await writeFile(join(project, 'page.js'), code)
  const outDir = join(project, 'page')
  const input = join(project, 'page.js')
  await build({
    root: project,
    configFile: false,
    logLevel: 'error',
    build: { outDir, rolldownOptions: { input } },
  })
  const assets = await readdir(join(outDir, 'assets'))
  expect(assets).toContainEqual(expect.stringMatching(/^worker-.*\.js$/))
  expect(assets).toContainEqual(expect.stringMatching(/^tokenizers-.*\.wasm$/))
  for (const name of assets.filter((asset) => asset.endsWith('.js')))
    expect(await readFile(join(outDir, 'assets', name), 'utf8')).not.toMatch(/from\s*["']node:/)
})

test('a strict TypeScript project finds the types of every subpath', async () => {
  const imports = subpaths.map(
    (s, i) => `import * as m${i} from '${s.replace(/^\./, 'tunesmith')}'\nvoid m${i}\n`,
  )
  const misuse =
    "import { tensor } from 'tunesmith'\n// @ts-expect-error a tensor is no number\nconst x: number = tensor([1])\nvoid x\n"
  await writeFile(join(project, 'main.ts'), imports.join('') + misuse)
  const tsc = fileURLToPath(new URL('../bin/tsc', import.meta.resolve('typescript')))
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2024',
    '--types',
    '',
    '--skipLibCheck',
  ]
  // execFile rejects with the compiler's output when it finds errors
  await run(process.execPath, [tsc, ...options, 'main.ts'], project)
})

test('the command is executable and answers --help', async () => {
  const command = join(project, 'node_modules/.bin/tunesmith')
  expect((await stat(command)).mode & 0o111).not.toBe(0)
  expect(await run(process.execPath, [command, '--help'], project)).toMatch(/finetune/)
})
