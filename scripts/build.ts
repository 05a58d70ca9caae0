/**
 * `npm run build`: makes dist/, what the package publishes: JavaScript and declarations of the library folders and of the
 * command line, with what they load at run time beside them.
 */
import { spawnSync } from 'node:child_process'
import { chmod, copyFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = join(root, 'dist')
const libraryFolders = ['core', 'nn', 'transformers', 'tokenization', 'hub', 'data']

/** What source files load by URL at run time. */
const isAsset = (file: string) => /\.(wasm|wgsl)$/.test(file)

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name))
}

/** The compiler renames `./x.ts` in imports, not in `new URL('./worker.ts', import.meta.url)`, the form bundlers know. */
const renameWorkers = (code: string) =>
  code.replace(/(new URL\(\s*['"]\.{1,2}\/[^'"]+)\.ts(['"],\s*import\.meta\.url)/g, '$1.js$2')

/** Declarations keep `./x.ts`, which compilers without allowImportingTsExtensions refuse. */
const renameDeclarationImports = (code: string) =>
  code.replace(/((?:from|import)\s*\(?\s*['"]\.{1,2}\/[^'"]+)\.ts(['"])/g, '$1.js$2')

async function compile(): Promise<void> {
  // the compiler's own start file, since no shell may find `tsc` on Windows
  const tsc = fileURLToPath(new URL('../bin/tsc', import.meta.resolve('typescript')))
  const { status } = spawnSync(process.execPath, [tsc, '--project', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('[build] the sources have type errors: dist/ was not made')
}

await rm(dist, { recursive: true, force: true })
await compile()
for (const file of await filesBelow(dist)) {
  const rename = file.endsWith('.d.ts') ? renameDeclarationImports : renameWorkers
  const code = await readFile(file, 'utf8')
  const renamed = rename(code)
  if (renamed !== code) await writeFile(file, renamed)
}
for (const folder of libraryFolders)
  for (const file of (await filesBelow(join(root, folder))).filter(isAsset)) {
    const copy = join(dist, relative(root, file))
    await mkdir(dirname(copy), { recursive: true })
    await copyFile(file, copy)
  }

const command = join(dist, 'scripts/tunesmith.js')
const code = await readFile(command, 'utf8')
if (!code.startsWith('#!')) await writeFile(command, `#!/usr/bin/env node\n${code}`)
await chmod(command, 0o755)
